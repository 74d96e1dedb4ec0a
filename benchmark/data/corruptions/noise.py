"""Noise: every value of every pixel on its own. Images are float32 (n, channels, height, width) in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.data.corruptions.draws import Draws


def gaussian_noise(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Additive normal noise of deviation strength[0]."""
    return images + draws.normal(*images.shape[1:]) * strength[0]


def shot_noise(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Poisson counts of strength[0] photons for a white pixel."""
    return draws.poisson(images * strength[0]) / strength[0]


def impulse_noise(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Salt and pepper: a share strength[0] of the values becomes 0 or 1, alike often."""
    chance, amount = draws.uniform(*images.shape[1:]), strength[0]
    salted = torch.where(chance < amount, torch.ones(()), images)
    return torch.where(chance < amount / 2, torch.zeros(()), salted)


def speckle_noise(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Normal noise in proportion to the value: black stays black."""
    return images * (1 + draws.normal(*images.shape[1:]) * strength[0])
