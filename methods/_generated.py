"""Measures of generated vectors against real ones."""

from __future__ import annotations

import torch
from torch import Tensor

#: k of density and coverage.
NEIGHBOURS = 5


def diversity(real: Tensor, made: Tensor) -> float | None:
    """Mean over dimensions of the deviation of made vectors (m, d) over that of real ones (n, d).

    1: as varied as real ones. None with fewer than two of either, or where the real ones do not vary.
    """
    if min(len(real), len(made)) < 2 or not bool((spread := real.std(0).mean()) > 0):
        return None
    return float(made.std(0).mean() / spread)


def density_and_coverage(
    real: Tensor, made: Tensor, neighbours: int = NEIGHBOURS
) -> tuple[float, float] | None:
    """Density and coverage of made vectors (m, d) among real ones (n, d) (Naeem et al. 2020).

    Each real vector has a ball, whose radius is the distance to its `neighbours`-th nearest real one. Density is
    the mean number of balls that a made vector lies in, over `neighbours` (1 is expected of real vectors, more is
    possible); coverage the share of balls with a made vector in them (for as many real vectors as made ones,
    1 - 2^-neighbours is expected, nearly). None with `neighbours` real vectors or fewer.
    """
    if len(real) <= neighbours or not len(made):
        return None
    # Differences, not the product form, whose cancellation would decide about vectors close by.
    exact = "donot_use_mm_for_euclid_dist"
    radii = torch.cdist(real, real, compute_mode=exact).kthvalue(neighbours + 1, dim=1).values
    inside = torch.cdist(real, made, compute_mode=exact) <= radii[:, None]
    return float(inside.float().sum(0).mean() / neighbours), float(inside.any(1).float().mean())
