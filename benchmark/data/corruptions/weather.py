"""Weather. Images are float32 (n, channels, height, width) in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.corruptions.draws import Draws
from benchmark.data.corruptions.fields import clouds, grey, line_blur, smooth, tint, zoom_matrix

_WATER, _MUD = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255)
_ICE = (0.80, 0.92, 1.0)
_RELIEF = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])

#: Shorter side in pixels below which snow shrinks with the image: streaks of 14 pixels would leave no 8-pixel one.
_STREAKS = 24


def snow(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Streaks of bright flakes from two sides over a whitened image; below 24 pixels both shrink with the image."""
    mean, spread, zoom, least, radius, sigma, keep = strength
    height, width = images.shape[2:]
    layer = mean + spread * draws.normal(1, height, width)
    angles = draws.uniform(1, low=-135, high=-45)[:, 0]
    shorter = min(1.0, min(height, width) / _STREAKS)
    zoom = 1 + (zoom - 1) * shorter
    layer = zoom_matrix(height, zoom) @ layer @ zoom_matrix(width, zoom).T
    layer = torch.where(layer < least, torch.zeros(()), layer).clamp(0, 1)
    layer = line_blur(layer, round(radius * shorter), sigma * shorter, angles)
    white = torch.maximum(images, grey(images) * 1.5 + 0.5)
    return keep * images + (1 - keep) * white + layer + layer.flip(2, 3)


def fog(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Fractal clouds of strength[0] added; the sum is scaled back to the image's own largest value."""
    amount, decay = strength
    height, width = images.shape[2:]
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    mist = clouds(draws, height, width, decay)[:, None]
    return (images + amount * mist) * brightest / (brightest + amount)


def frost(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """strength[0] of the image and strength[1] of an icy texture.

    The texture is this project's: ridges of fractal clouds in a pale blue. The published corruption pastes crops
    of six photographs, which are not part of this project.
    """
    height, width = images.shape[2:]
    ridges = 1 - (2 * clouds(draws, height, width, 1.7) - 1).abs()
    cover = clouds(draws, height, width, 2.5)
    ice = (0.25 + 0.75 * ridges**2 * (0.4 + 0.6 * cover)).clamp(0, 1)[:, None]
    return strength[0] * images + strength[1] * ice * tint(images, _ICE)


def brightness(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """HSV's value raised by strength[0], hue and saturation kept."""
    value = images.amax(dim=1, keepdim=True)
    raised = (value + strength[0]).clamp(max=1)
    return torch.where(value > 0, images * (raised / value.clamp(min=1e-12)), raised)


def spatter(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Drops of water (strength[5] = 0) or mud on the lens.

    The drops' places and sizes follow the published constants. Water is shaded by a relief filter alone, where the
    published one finds edges and distances first: reconstructed.
    """
    mean, spread, sigma, least, amount, mud = strength
    layer = smooth(mean + spread * draws.normal(1, *images.shape[2:]), sigma)
    if mud:
        cover = smooth((layer > least).float(), amount)
        return images * (1 - cover) + cover * tint(images, _MUD)
    drops = torch.where(layer > least, layer, torch.zeros(()))
    padded = functional.pad(drops, (1, 1, 1, 1), mode="replicate")
    relief = functional.conv2d(padded, _RELIEF[None, None]).clamp(0, 1)
    shade = smooth(drops * (0.5 + 0.5 * relief), 0.5)
    shade = shade / shade.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return images + amount * shade * tint(images, _WATER)
