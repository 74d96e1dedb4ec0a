"""What image generators share: the sizes they grow through, and the way back to pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def doublings(side: int) -> int:
    """How often to double a map of 4 to 8 px so as to cover `side` with the least to crop (28 px: 7, 2)."""
    choices = [count for count in range(1, 5) if 4 <= -(-side // 2**count) <= 8] or [1 if side < 8 else 4]
    return min(choices, key=lambda count: (-(-side // 2**count) * 2**count, -count))


def cropped(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The central part (n, channels, *size) of images that are at least as large."""
    top, left = ((have - want) // 2 for have, want in zip(images.shape[-2:], size, strict=True))
    return images[:, :, top : top + size[0], left : left + size[1]]


def to_pixels(images: Tensor) -> Tensor:
    """Map float images in [-1, 1] to uint8."""
    return images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
