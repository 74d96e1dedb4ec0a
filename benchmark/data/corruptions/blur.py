"""Blurs. Images are float32 (n, channels, height, width) in [0, 1]."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.corruptions.draws import Draws
from benchmark.data.corruptions.fields import line_blur, smooth, zoom_matrix

#: Images of so many pixels at most are zoomed by one matrix; larger ones axis by axis.
_WHOLE = 1024


def gaussian_blur(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Gaussian of strength[0] pixels."""
    return smooth(images, strength[0])


def defocus_blur(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """A disc of radius strength[0] pixels whose edge is softened by strength[1]."""
    kernel = _disc(*strength)
    n, channels, height, width = images.shape
    reach = len(kernel) // 2
    flat = images.reshape(n * channels, 1, height, width)
    mode = "reflect" if reach < min(height, width) else "replicate"
    padded = functional.pad(flat, (reach, reach, reach, reach), mode=mode)
    return functional.conv2d(padded, kernel[None, None]).reshape(images.shape)


@functools.lru_cache(maxsize=32)
def _disc(radius: float, soft: float) -> Tensor:
    """The kernel, trimmed of zeros: a filled disc smoothed by a Gaussian of 3 (large ones: 5) taps."""
    reach = int(max(8, radius)) + 2
    steps = np.arange(-reach, reach + 1)
    disc = ((steps[:, None] ** 2 + steps**2) <= radius**2).astype(float)
    taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    weights = np.exp(-0.5 * (taps / soft) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        disc = sum(weight * np.roll(disc, tap, axis) for tap, weight in zip(taps, weights, strict=True))
    disc /= disc.sum()
    keep = int(np.abs(steps[(disc > 1e-6).any(axis=0)]).max())
    middle = slice(reach - keep, reach + keep + 1)
    return torch.from_numpy(disc[middle, middle] / disc[middle, middle].sum()).float()


def glass_blur(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Smoothed, pixels swapped with near ones (strength[2] times), smoothed again.

    A partner is -strength[1] to strength[1] - 1 pixels away in each direction, as published.
    """
    sigma, reach, rounds = strength[0], int(strength[1]), int(strength[2])
    n, channels, height, width = images.shape
    places = np.tile(np.arange(height * width)[:, None], (1, n))  # where each pixel comes from
    every = np.arange(n)
    ys, xs = np.arange(height - reach - 1, reach - 1, -1), np.arange(width - reach - 1, reach - 1, -1)
    for _ in range(rounds):
        moves = (draws.uniform(len(ys) * len(xs), 2).numpy() * 2 * reach).astype(np.int64) - reach
        partners = np.ascontiguousarray((moves[:, :, 0] * width + moves[:, :, 1]).T)
        partners += (ys[:, None] * width + xs).reshape(-1, 1)
        for here, there in zip((ys[:, None] * width + xs).reshape(-1), partners, strict=True):
            theirs = places[there, every]
            places[there, every] = places[here]
            places[here] = theirs
    where = torch.from_numpy(np.ascontiguousarray(places.T))[:, None].expand(-1, channels, -1)
    swapped = smooth(images, sigma).reshape(n, channels, -1).gather(2, where)
    return smooth(swapped.reshape(images.shape), sigma)


def motion_blur(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """A line of radius strength[0] and deviation strength[1] pixels, 45 degrees off the horizontal at most."""
    angles = draws.uniform(1, low=-45, high=45)[:, 0]
    return line_blur(images, strength[0], strength[1], angles)


def zoom_blur(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """The mean of the image and its magnifications by 1, 1 + strength[1], ... below strength[0]."""
    height, width = images.shape[2:]
    factors = tuple(float(factor) for factor in np.arange(1, *strength))
    n, channels = images.shape[:2]
    if height * width <= _WHOLE:
        return (images.reshape(n, channels, -1) @ _zoom_whole(height, width, factors)).reshape(images.shape)
    rows, columns = _zooms(height, factors), _zooms(width, factors)
    tall = (rows.reshape(-1, height) @ images).reshape(n, channels, len(factors), height, width)
    wide = tall.transpose(2, 3).reshape(n, channels, height, len(factors) * width)
    total = wide @ columns.transpose(1, 2).reshape(len(factors) * width, width)
    return (images + total) / (len(factors) + 1)


@functools.lru_cache(maxsize=32)
def _zooms(size: int, factors: tuple[float, ...]) -> Tensor:
    return torch.stack([zoom_matrix(size, factor) for factor in factors])


@functools.lru_cache(maxsize=32)
def _zoom_whole(height: int, width: int, factors: tuple[float, ...]) -> Tensor:
    """float32 (pixels, pixels): the whole corruption of a small image as one matrix, applied from the right."""
    total = torch.eye(height * width)
    for factor in factors:
        total += torch.kron(zoom_matrix(height, factor), zoom_matrix(width, factor))
    return (total / (len(factors) + 1)).T.contiguous()
