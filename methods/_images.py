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
    device = images.device
    shift = torch.randint(0, 2 * padding + 1, (n, 2), generator=generator) if padding else torch.zeros(n, 2)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5 if flip else torch.zeros(n, 1)
    drawn = on_device(torch.cat([shift.long(), mirrored.long()], dim=1), device)
    rows = torch.arange(height, device=device) + drawn[:, :1]
    columns = torch.arange(width, device=device) + drawn[:, 1:2]
    columns = torch.where(drawn[:, 2:] > 0, columns.flip(1), columns)
    images = torch.nn.functional.pad(images, (padding, padding, padding, padding))
    which = torch.arange(n, device=device)[:, None, None]
    # Indexing with (n, h, 1) and (n, 1, w) around a slice puts the channel axis last: permute it back.
    picked = images[which, :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


def taken(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Rows of images on the device, also of images that are kept in host memory."""
    return on_device(images[rows], device) if images.device != device else images[rows]


def on_device(drawn: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; a GPU copies it when it comes to it, and nobody waits."""
    if device.type != "cuda" or drawn.device.type != "cpu":
        return drawn.to(device)
    return drawn.pin_memory().to(device, non_blocking=True)
