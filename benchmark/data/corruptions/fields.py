"""Pieces of several corruptions: smoothing and resizing as matrices, line blurs, fractal clouds."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from benchmark.data.corruptions.draws import Draws

#: Weights of a line blur below this share of the first are not worth a pass over the image.
_NEGLIGIBLE = 1e-3


@functools.lru_cache(maxsize=64)
def gaussian_matrix(size: int, sigma: float, truncate: float = 4.0, reflect: bool = False) -> Tensor:
    """float32 (size, size): the Gaussian filter along one axis, its border rule included.

    Outside pixels repeat the border's, or mirror about it. sigma 0 is the identity.
    """
    radius = int(truncate * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2) if radius else np.ones(1)
    matrix = np.zeros((size, size))
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        target = np.arange(size) + step
        if reflect:
            target = target % (2 * size)
            target = np.minimum(target, 2 * size - 1 - target)
        np.add.at(matrix, (np.arange(size), np.clip(target, 0, size - 1)), weight)
    return torch.from_numpy(matrix).float()


def smooth(images: Tensor, sigma: float, truncate: float = 4.0, reflect: bool = False) -> Tensor:
    """Gaussian smoothing of (..., height, width) by sigma pixels."""
    height, width = images.shape[-2:]
    rows = gaussian_matrix(height, sigma, truncate, reflect)
    return rows @ images @ gaussian_matrix(width, sigma, truncate, reflect).T


@functools.lru_cache(maxsize=256)
def zoom_matrix(size: int, factor: float) -> Tensor:
    """float32 (size, size): linear interpolation of one axis, magnified about its centre."""
    centre = (size - 1) / 2
    where = (np.arange(size) - centre) / factor + centre
    low = np.clip(np.floor(where).astype(int), 0, size - 1)
    high, part = np.minimum(low + 1, size - 1), np.clip(where - low, 0, 1)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size), low), 1 - part)
    np.add.at(matrix, (np.arange(size), high), part)
    return torch.from_numpy(matrix).float()


@functools.lru_cache(maxsize=64)
def pixelate_matrix(size: int, share: float) -> Tensor:
    """float32 (size, size): one axis averaged in boxes of 1 / share pixels, and the boxes laid back.

    A box sits in the middle; below 24 pixels, the border of two does. A pixel that two boxes share gets their
    mean by area. (As published, the number of boxes is rounded down and Pillow gives such a pixel to one box,
    which moves small images by up to half a pixel, most where they change least.)
    """
    half = np.arange(0.5 / share if size >= 24 else 1 / share, size / 2, 1 / share)
    middle = np.empty(0) if size >= 24 else np.zeros(1)
    inner = half[half < size / 2 - 1e-6]
    edges = np.concatenate([[-size / 2], -inner[::-1], middle, inner, [size / 2]]) + size / 2
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(overlap, 0, None)
    return torch.from_numpy(overlap.T @ (overlap / np.diff(edges)[:, None])).float()


def line_blur(images: Tensor, radius: float, sigma: float, angles: Tensor) -> Tensor:
    """Blur every image along its own line: one-sided Gaussian weights, as ImageMagick's motion blur.

    images: (n, channels, height, width); radius and sigma in pixels; angles: (n,) in degrees.
    """
    n, channels, height, width = images.shape
    steps = torch.arange(2 * int(radius) + 1)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    weights = weights / weights.sum()
    turn = torch.deg2rad(angles)[:, None]
    down, right = (torch.ceil(steps * part(turn) - 0.5).long() for part in (torch.sin, torch.cos))
    ys, xs = torch.arange(height), torch.arange(width)
    flat, out = images.reshape(n, channels, -1), torch.zeros_like(images).reshape(n, channels, -1)
    for step, weight in enumerate(weights.tolist()):
        if weight < _NEGLIGIBLE * float(weights[0]):
            break
        rows = (ys + down[:, step, None]).clamp(0, height - 1) * width
        columns = (xs + right[:, step, None]).clamp(0, width - 1)
        where = (rows[:, :, None] + columns[:, None, :]).reshape(n, 1, -1).expand(-1, channels, -1)
        out.add_(flat.gather(2, where), alpha=weight)
    return out.reshape(images.shape)


def clouds(draws: Draws, height: int, width: int, decay: float) -> Tensor:
    """Fractal clouds in [0, 1], float32 (n, height, width): the diamond-square algorithm on a torus.

    The side of the torus is the power of two that holds the image; `decay` divides the roughness each time the
    grid gets twice as fine.
    """
    size = 1 << max(2, math.ceil(math.log2(max(height, width))))
    noise = draws.uniform(size * size, low=-1.0).numpy()
    grid, used, wibble, step = np.zeros((len(noise), size, size), np.float32), 0, 100.0, size

    def wobbled(total: np.ndarray) -> np.ndarray:
        nonlocal used
        count = total.shape[1] * total.shape[2]
        own = noise[:, used : used + count].reshape(total.shape)
        used += count
        return np.asarray(total / 4 + wibble * wibble * own)

    while step >= 2:
        half = step // 2
        corners = grid[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, 1)
        grid[:, half::step, half::step] = wobbled(pairs + np.roll(pairs, -1, 2))
        centres = grid[:, half::step, half::step]
        beside = centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 2)
        grid[:, ::step, half::step] = wobbled(beside)
        above = centres + np.roll(centres, 1, 2) + corners + np.roll(corners, -1, 1)
        grid[:, half::step, ::step] = wobbled(above)
        step, wibble = half, wibble / decay
    grid -= grid.min(axis=(1, 2), keepdims=True)
    grid /= grid.max(axis=(1, 2), keepdims=True)
    return torch.from_numpy(grid[:, :height, :width].copy())


def grey(images: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) of (n, channels, height, width) as (n, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    return (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)


def tint(images: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """A colour as (channels, 1, 1) for these images: its luma where they have one channel."""
    full = torch.tensor(colour)[None, :, None, None]
    return full[0] if images.shape[1] == 3 else grey(full)[0]
