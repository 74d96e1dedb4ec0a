"""Pixels to network input: scaling and the augmentation that every method shares."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images to float32 in [-1, 1], the range that every network of the project takes.

    Feature vectors, which are floating point, only become float32.
    """
    if images.is_floating_point():
        return images.to(torch.float32)
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def augment(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by its own offset (zero padding) and mirror each with probability one half.

    images: (n, channels, height, width), any dtype and device, or vectors (n, d), which stay as they are.
    `padding` bounds the shift in pixels either way. Offsets are drawn on the CPU, so that devices agree. Returns a
    new tensor of the same shape.
    """
    if (padding == 0 and not flip) or images.dim() == 2:  # feature vectors have no place to shift
        return images
    n, _, height, width = images.shape
    rows = torch.arange(height).expand(n, -1)
    columns = torch.arange(width).expand(n, -1)
    if padding:
        shift = torch.randint(0, 2 * padding + 1, (n, 2), generator=generator)
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
        images = torch.nn.functional.pad(images, (padding, padding, padding, padding))
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    device = images.device
    which = torch.arange(n, device=device)[:, None, None]
    # Indexing with (n, h, 1) and (n, 1, w) around a slice puts the channel axis last: permute it back.
    picked = images[which, :, rows.to(device)[:, :, None], columns.to(device)[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()
