"""Counting with torch: distances by matrix products of -1/+1 codes, which every device multiplies exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.problem import Hist, Problem

_CELLS = 1 << 22  # pairs at a time on the processor; a GPU takes 16 times as many


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"torch cannot use device {name!r}: {error}") from None
    return device


def _unpacked(words: NDArray[np.uint64], columns: int, device: Any) -> Any:
    """Words of shape (rows, w) as 0/1 floats of shape (rows, columns) on the device."""
    import torch

    packed = torch.from_numpy(np.ascontiguousarray(words).view(np.uint8)).to(device)
    shifts = torch.arange(7, -1, -1, device=device, dtype=torch.uint8)
    ones = (packed.unsqueeze(2) >> shifts) & 1
    return ones.reshape(len(words), -1)[:, :columns].float()


def _gains(problem: Problem, queries: slice, rows: slice, device: Any) -> Any:
    import torch

    if problem.labels.planes is None:
        assert problem.labels.classes is not None
        assert problem.query_labels.classes is not None
        wanted = torch.from_numpy(problem.query_labels.classes[queries]).to(device)
        present = torch.from_numpy(problem.labels.classes[rows]).to(device)
        return (wanted.unsqueeze(1) == present).long()
    assert problem.query_labels.planes is not None
    assert problem.labels.width is not None
    left = _unpacked(problem.query_labels.planes[:, queries].T, problem.labels.width, device)
    right = _unpacked(problem.labels.planes[:, rows].T, problem.labels.width, device)
    shared = (left @ right.T).round().long()
    return shared.clamp(max=1) if problem.levels == 2 else shared


def count_torch(problem: Problem, low: int, high: int, device_name: str | None) -> Hist:
    """Counts of shape (high - low, bits + 1, levels), equal to the other engines' to the last bit.

    Whole numbers up to 32768 are exact in float32, and stay so in TF32 products, whose factors here
    are -1, 0 or 1 and whose sums are kept in float32.
    """
    import torch

    device = _device(device_name)
    bins, levels = problem.bits + 1, problem.levels
    table = bins * levels
    hist = np.empty((high - low, bins, levels), dtype=np.int64)
    cells = _CELLS if device.type == "cpu" else 16 * _CELLS
    columns = max(1, min(problem.items, cells // 64))
    step = max(1, cells // columns)
    with torch.inference_mode():
        for start in range(low, high, step):
            queries = slice(start, min(start + step, high))
            size = queries.stop - start
            left = 2 * _unpacked(problem.query_words[queries], problem.bits, device) - 1
            owner = torch.arange(size, device=device).unsqueeze(1) * table
            total = torch.zeros(size * table, dtype=torch.int64, device=device)
            for first in range(0, problem.items, columns):
                rows = slice(first, min(first + columns, problem.items))
                right = 2 * _unpacked(problem.planes[:, rows].T, problem.bits, device) - 1
                distance = ((problem.bits - left @ right.T) / 2).round().long()
                index = distance * levels + _gains(problem, queries, rows, device) + owner
                total += torch.bincount(index.ravel(), minlength=size * table)
            hist[start - low : queries.stop - low] = total.reshape(size, bins, levels).cpu().numpy()
    return hist
