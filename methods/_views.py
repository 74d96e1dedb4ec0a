"""Random views of images for contrastive learning: crop, stretch, brightness and contrast."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from benchmark.methods._images import on_device


def random_views(images: Tensor, least: float, jitter: float, generator: torch.Generator) -> Tensor:
    """A random view of each image: float (n, channels, height, width) in [-1, 1], same shape out.

    A box whose sides are `least` to 1 of the image's (each drawn on its own) is placed at random and stretched
    to full size; then contrast and brightness change by up to `jitter`. Drawn on the CPU.
    """
    n = len(images)
    sides = least + (1 - least) * torch.rand(n, 2, generator=generator)
    places = (2 * torch.rand(n, 2, generator=generator) - 1) * (1 - sides)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = sides[:, 0], sides[:, 1]
    theta[:, :, 2] = places
    grid = affine_grid(on_device(theta, images.device).to(images), list(images.shape), align_corners=False)
    cropped = grid_sample(images, grid, padding_mode="border", align_corners=False)
    change = 2 * torch.rand(n, 2, 1, 1, 1, generator=generator) - 1
    change = on_device(change, images.device).to(images) * jitter
    return ((1 + change[:, 0]) * cropped + change[:, 1]).clamp(-1, 1)
