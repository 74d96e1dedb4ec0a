"""Random draws that belong to one image each, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 64) - 1


class Draws:
    """Draws for a batch: row r reads its own stream, named by (key, r).

    One Philox generator is pointed at each image's stream in turn: making a generator costs ten times as much.
    Every method returns float32 (n, *shape) and moves each stream on; calls therefore have an order, the same for
    every image.
    """

    def __init__(self, key: int, rows: np.ndarray) -> None:
        self._bits = np.random.Philox(key=[0, 0])
        self._generator = np.random.Generator(self._bits)
        self._key, self._rows, self._calls = key & _MASK, [int(row) & _MASK for row in rows], 0

    def __len__(self) -> int:
        return len(self._rows)

    def _streams(self) -> Iterator[tuple[int, np.random.Generator]]:
        """Each image's generator, at a place of its stream that belongs to this call alone."""
        state = self._bits.state
        state["buffer_pos"], state["has_uint32"] = 4, 0
        counter, key = np.zeros(4, np.uint64), np.zeros(2, np.uint64)
        counter[3], key[0] = self._calls, self._key
        self._calls += 1
        for index, row in enumerate(self._rows):
            key[1] = row
            state["state"]["counter"], state["state"]["key"] = counter, key
            self._bits.state = state
            yield index, self._generator

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        out = np.empty((len(self), *shape), np.float32)
        for index, generator in self._streams():
            generator.standard_normal(out=out[index], dtype=np.float32)
        return torch.from_numpy(out)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high)."""
        out = np.empty((len(self), *shape), np.float32)
        for index, generator in self._streams():
            generator.random(out=out[index], dtype=np.float32)
        return torch.from_numpy(out) * (high - low) + low

    def poisson(self, means: Tensor) -> Tensor:
        """Poisson counts with the given means (n, ...)."""
        values, out = means.double().numpy(), np.empty(tuple(means.shape), np.float32)
        for index, generator in self._streams():
            out[index] = generator.poisson(values[index])
        return torch.from_numpy(out)
