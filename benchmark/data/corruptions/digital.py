"""Digital corruptions. Images are float32 (n, channels, height, width) in [0, 1]."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmark.data.corruptions.draws import Draws
from benchmark.data.corruptions.fields import pixelate_matrix, smooth

#: Shorter side in pixels from which on displacements are drawn at the image's own pixels.
_FIELD = 32


def contrast(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Every channel pulled towards its mean over the image; strength[0] of the distance is left."""
    means = images.mean(dim=(2, 3), keepdim=True)
    return (images - means) * strength[0] + means


def elastic_transform(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """A random affine map and smooth random displacements, sampled bilinearly, the border mirrored.

    strength, in shares of the shorter side: length of the displacements, their smoothness, and how far the three
    points that fix the affine map move. Both maps are applied in one sampling. Below 32 pixels the displacements
    are those of a 32-pixel image, thinned out.
    """
    n, _, height, width = images.shape
    length, sigma, affine = (share * min(height, width) for share in strength)
    corners = draws.uniform(3, 2, low=-affine, high=affine)
    # A field at a finer grid where pixels are too coarse to smooth it: else its length would not be a share.
    finer = max(1.0, _FIELD / min(height, width))
    rows, columns = (np.floor((np.arange(side) + 0.5) * finer).astype(int) for side in (height, width))
    field = draws.uniform(2, round(height * finer), round(width * finer), low=-1.0)
    field = smooth(field, sigma * finer, truncate=3.0, reflect=True)[:, :, rows][:, :, :, columns] * length
    reach = min(height, width) // 3
    centre = torch.tensor([width / 2, height / 2])
    fixed = centre + reach * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    system = torch.cat([fixed, torch.ones(3, 1)], dim=1)  # [x y 1] @ map = [x' y']
    maps = torch.linalg.solve(system.expand(n, 3, 3), fixed + corners)
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([xs + field[:, 0], ys + field[:, 1]], dim=-1)
    moved = points @ maps[:, None, :2] + maps[:, None, 2:]
    scale = torch.tensor([2 / (width - 1), 2 / (height - 1)])
    return functional.grid_sample(images, moved * scale - 1, padding_mode="reflection", align_corners=True)


def pixelate(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Averaged down to a share strength[0] of the pixels a side, and repeated back up."""
    height, width = images.shape[2:]
    return pixelate_matrix(height, strength[0]) @ images @ pixelate_matrix(width, strength[0]).T


def jpeg_compression(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """Coded and decoded by libjpeg at quality strength[0], colour at half resolution as is its default."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    out = np.empty_like(pixels)
    for index, one in enumerate(pixels):
        stream = io.BytesIO()
        Image.fromarray(one if one.shape[2] == 3 else one[:, :, 0]).save(
            stream, "JPEG", quality=int(strength[0])
        )
        out[index] = np.asarray(Image.open(stream, formats=("JPEG",))).reshape(one.shape)
    return torch.from_numpy(out).permute(0, 3, 1, 2).float() / 255


def saturate(images: Tensor, strength: tuple[float, ...], draws: Draws) -> Tensor:
    """HSV's saturation times strength[0] plus strength[1]; images of one channel stay as they are."""
    if images.shape[1] == 1:
        return images.clone()
    value = images.amax(dim=1, keepdim=True)
    depth = value - images  # saturation x value x (0 to 1, by hue)
    spread = depth.amax(dim=1, keepdim=True)
    saturation = spread / value.clamp(min=1e-12)
    wanted = (saturation * strength[0] + strength[1]).clamp(0, 1)
    red = torch.tensor([0.0, 1.0, 1.0])[:, None, None]  # the hue that HSV gives to grey
    shape = torch.where(spread > 0, depth / spread.clamp(min=1e-12), red)
    return value * (1 - wanted * shape)
