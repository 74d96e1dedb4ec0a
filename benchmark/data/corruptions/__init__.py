"""The 15 + 4 common corruptions of CIFAR-10-C and ImageNet-C, for images of any size, in batch.

Own code after Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations, ICLR 2019. Where it differs from theirs, and which constants are whose: `docs/views.md`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmark.data.corruptions import blur, digital, noise, weather
from benchmark.data.corruptions.draws import Draws
from benchmark.errors import InputError, unknown
from benchmark.spec import seed_stream
from benchmark.spec.corruptions import CORRUPTIONS, SEVERITIES, strength, table_of

__all__ = ["corrupt", "table_of"]

#: Floats of one chunk: bounds the memory of the temporary arrays.
_CHUNK = 1 << 20

#: Where the function of each corruption is, by its family; it has the corruption's name.
_MODULES = {"noise": noise, "blur": blur, "weather": weather, "digital": digital}


def corrupt(images: Tensor, name: str, severity: int, rows: np.ndarray, stream: str) -> Tensor:
    """The images under one corruption.

    images: (n, channels, height, width), 1 or 3 channels, uint8, or float in [0, 1]; the result has their shape,
    dtype and device and is a copy. severity: 1 to 5. rows: integers (n,), each image's row number in its data
    set, and stream: that data set's name. These two alone seed an image's draws: the other images of the batch,
    their order and the device change nothing. The severities of one image share their draws, so that a
    higher one is the same disturbance, stronger.

    The work is done on the CPU in float32. Raises InputError for an unknown name, another severity, or
    images of another kind.
    """
    if name not in CORRUPTIONS:
        raise unknown("corruption", name, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity!r} of {name} is not one of 1, 2, 3, 4, 5")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 4:
        shape = tuple(images.shape)
        raise InputError(f"images must be (n, 1 or 3, height, width) of at least 4 pixels, not {shape}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(f"images must be uint8, or float in [0, 1], not {images.dtype}")
    if len(rows) != len(images):
        raise InputError(f"{len(images)} images come with {len(rows)} row numbers")
    key = seed_stream("corruption", stream, name)
    size = max(1, _CHUNK // max(1, images[0].numel())) if len(images) else 1
    parts = [
        _one_chunk(images[start : start + size], name, severity, Draws(key, rows[start : start + size]))
        for start in range(0, len(images), size)
    ]
    return torch.cat(parts) if parts else images.clone()


@torch.no_grad()
def _one_chunk(images: Tensor, name: str, severity: int, draws: Draws) -> Tensor:
    pixels = images.detach().to("cpu", torch.float32)
    if images.dtype == torch.uint8:
        pixels = pixels / 255
    function = getattr(_MODULES[CORRUPTIONS[name]], name)
    changed: Tensor = function(pixels, strength(name, severity, images.shape[2:]), draws).clamp(0, 1)
    if images.dtype == torch.uint8:
        return (changed * 255).round().to(images.device, torch.uint8)
    return changed.to(images.device, images.dtype)
