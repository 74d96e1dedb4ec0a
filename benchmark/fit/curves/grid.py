"""A grid of generated images as a PNG: one column a class, before and after revision one below the other."""

from __future__ import annotations

import io

import torch
from torch import Tensor

#: Longest side of an image in the grid, pixels (larger ones are shrunk); whole multiples bring tiny ones to this.
TILE, TINY = 64, 32
#: Gaps between images and between latent draws, pixels, and their grey.
GAP, WIDE_GAP, GREY = 1, 4, 128


def grid_png(before: Tensor, after: Tensor | None, columns: int) -> bytes:
    """The PNG of uint8 images (rows * columns, 1 or 3 channels, height, width), row by row.

    Each row of `before` is followed by the same row of `after` (left out when None), so that a column shows
    one class, and two neighbouring rows one latent draw. The same images give the same bytes.
    """
    from PIL import Image

    if before.ndim != 4 or len(before) == 0 or len(before) % columns:
        raise ValueError(f"{tuple(before.shape)} images do not fill rows of {columns}")
    rows = [row for pair in _rows(before, after, columns) for row in pair]
    step = 1 if after is None else 2
    height, width = rows[0].shape[-2:]
    tops = [GAP + i * (height + GAP) + i // step * (WIDE_GAP - GAP) for i in range(len(rows))]
    canvas = torch.full((3, tops[-1] + height + GAP, GAP + columns * (width + GAP)), GREY, dtype=torch.uint8)
    for top, row in zip(tops, rows, strict=True):
        for column, tile in enumerate(row):
            left = GAP + column * (width + GAP)
            canvas[:, top : top + height, left : left + width] = tile
    buffer = io.BytesIO()
    Image.fromarray(canvas.permute(1, 2, 0).contiguous().numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _rows(before: Tensor, after: Tensor | None, columns: int) -> list[list[Tensor]]:
    """Per latent draw its one or two rows, each (columns, channels, height, width) on the CPU, at most TILE."""
    parts = [before] if after is None else [before, after]
    small = [torch.split(_sized(part.cpu()), columns) for part in parts]
    return [list(pair) for pair in zip(*small, strict=True)]


def _sized(images: Tensor) -> Tensor:
    longest = max(images.shape[-2:])
    if longest <= TILE:
        times = max(1, TINY // longest)
        return images.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
    size = [max(1, round(side * TILE / longest)) for side in images.shape[-2:]]
    shrunk = torch.nn.functional.interpolate(images.float(), size, mode="bilinear", antialias=True)
    return shrunk.round().clamp(0, 255).to(torch.uint8)
