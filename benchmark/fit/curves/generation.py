"""Measures of generated images against real ones, beside the Fréchet distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmark.methods._generated import density_and_coverage, diversity


def diversity_ratio(real: Tensor, known: Tensor, made: Tensor, asked: Tensor) -> float | None:
    """Per-pixel deviation of generated uint8 images over that of real ones, the mean over label sets.

    known, asked (n, classes): labels of the real and of the generated images. None where no label set has two
    images of either kind, the real ones different.
    """
    found = []
    for row in torch.unique(asked, dim=0):
        own, other = real[(known == row).all(dim=1)], made[(asked == row).all(dim=1)]
        found.append(diversity(own.flatten(1).float(), other.flatten(1).float()))
    numbers = [value for value in found if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def spread_in_features(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """`density` and `coverage` (Naeem et al. 2020) of features (n, d), over all classes together.

    Of as many made ones as real ones, evenly spaced where there are more. Empty where there are too few.
    """
    rows = np.linspace(0, len(made) - 1, min(len(real), len(made))).round().astype(np.int64)
    pair = density_and_coverage(torch.from_numpy(real), torch.from_numpy(made[rows]))
    return {} if pair is None else {"density": pair[0], "coverage": pair[1]}


def chain_measures(
    log_density: Callable[[Tensor, Tensor], Tensor],
    real: tuple[Tensor, Tensor],
    asked: Tensor,
    before: Tensor,
    after: Tensor | None,
) -> dict[str, float]:
    """What f says of generated images, and what the chain did to them.

    log_density: f (n,) of uint8 images and labels. real: images and their labels. `energy_gap_*`: mean f of
    generated images less that of real ones. `chain_raises_f`: share of chains that end higher than they began.
    `chain_distance`: mean absolute move of a pixel, where pixels span [-1, 1].
    """
    f_real, f_before = log_density(*real).double(), log_density(before, asked).double()
    found = {"energy_gap_generated": float(f_before.mean() - f_real.mean())}
    if after is not None:
        f_after = log_density(after, asked).double()
        found["energy_gap_revised"] = float(f_after.mean() - f_real.mean())
        found["chain_raises_f"] = float((f_after > f_before).double().mean())
        found["chain_distance"] = float((after.double() - before.double()).abs().mean() / 127.5)
    return found
