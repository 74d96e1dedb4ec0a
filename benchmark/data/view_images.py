"""The images of a view: corrupted ones, official ones, those of other data sets; each with rows and labels."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.contracts import DatasetInfo
from benchmark.data import view_cache
from benchmark.data.corruptions import corrupt
from benchmark.data.decode import stamp
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.spec.views import View

#: Bytes of corrupted queries that one process keeps where `view_cache` cannot.
CACHE_BYTES = 512 * 2**20
_cache: OrderedDict[str, np.ndarray] = OrderedDict()


@dataclass(frozen=True)
class Images:
    """One side of a view that must be encoded: `part(start, stop)` gives uint8 (n, channels, height, width).

    rows: the images' numbers in their data set. official: how many come from published files.
    """

    rows: np.ndarray
    part: Callable[[int, int], Tensor]
    official: int = 0


def corrupted(data: LoadedDataset, rows: np.ndarray, view: View, root: Path | None, *, keep: bool) -> Images:
    """The rows under a corruption. keep: hold the result for the next fit, on disk or else in memory.

    Raises InputError for official files that are there and cannot be used.
    """
    published, which = _published(data, rows, view, root)
    severity = view.severity or 1

    def make(start: int, stop: int) -> Tensor:
        images = torch.from_numpy(np.array(data.images[rows[start:stop]]))
        result = corrupt(images, view.name, severity, rows[start:stop], data.info.name)
        if published is not None:
            inside = which[start:stop] >= 0
            places = len(published) // 5 * (severity - 1) + which[start:stop][inside]
            found = np.ascontiguousarray(published[places].transpose(0, 3, 1, 2))
            result[torch.from_numpy(inside)] = torch.from_numpy(found)
        return result

    official = 0 if published is None else int((which >= 0).sum())
    if not keep:
        return Images(rows, make, official)
    shape = (len(rows), *data.images.shape[1:])

    @functools.cache
    def whole() -> np.ndarray:
        key = _name(data, rows, view, published)
        found = view_cache.kept(key, shape, lambda start, stop: make(start, stop).numpy())
        if found is not None:
            return found
        if key not in _cache:
            _remember(key, make(0, len(rows)).numpy())
        return _cache[key]

    return Images(rows, lambda start, stop: torch.from_numpy(np.array(whole()[start:stop])), official)


def _name(data: LoadedDataset, rows: np.ndarray, view: View, published: np.ndarray | None) -> str:
    """What the images of a corruption depend on: the same for queries alone and for both sides."""
    official = "" if not isinstance(published, np.memmap) else stamp(Path(str(published.filename)))
    text = f"{data.fingerprint} {data.info.name} {view.name} {view.severity} {view.version} {official}"
    key = hashlib.sha256(
        f"{text} {np.__version__} {torch.__version__} ".encode() + rows.tobytes()
    ).hexdigest()
    return f"{data.info.name}-{view.name}-{view.severity}-{key[:16]}"


def _remember(key: str, images: np.ndarray) -> None:
    while _cache and sum(one.nbytes for one in _cache.values()) + images.nbytes > CACHE_BYTES:
        _cache.popitem(last=False)
    _cache[key] = images


def _published(
    data: LoadedDataset, rows: np.ndarray, view: View, root: Path | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """The published file of a corruption, or None, and each row's number among the official test images or -1."""
    which, told = np.full(len(rows), -1), data.info.corrupted
    path = root / told.folder / f"{view.name}.npy" if root is not None and told is not None else None
    if told is None or path is None or not path.is_file():
        return None, which
    for index, name in enumerate(data.names[rows]):
        part, _, number = str(name).partition("/")
        if part == told.part:
            which[index] = int(number)
    info, total = data.info, 5 * told.images
    images = _array(path, (total, info.height, info.width, info.channels))
    labels = _array(path.with_name("labels.npy"), (total,))
    own, theirs = data.labels[rows].argmax(axis=1), labels[np.maximum(which, 0)]
    if (own != theirs)[which >= 0].any():
        file = str(path.with_name("labels.npy"))
        raise InputError(f"{file!r} does not label {info.title}'s test images in their order")
    return images, which


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None
    if found.shape != shape or found.dtype.kind not in "ui" or (len(shape) > 1 and found.dtype != np.uint8):
        raise InputError(
            f"{str(path)!r} must be integers of shape {shape}, found {found.dtype} {found.shape}"
        )
    return found


def foreign(data: LoadedDataset, rows: np.ndarray, own: DatasetInfo) -> Images:
    """Rows of another data set in the channels and size of `own`, see `converted`."""

    def part(start: int, stop: int) -> Tensor:
        return converted(torch.from_numpy(np.array(data.images[rows[start:stop]])), own)

    return Images(rows, part)


def converted(images: Tensor, own: DatasetInfo) -> Tensor:
    """uint8 images as uint8 (n, own.channels, own.height, own.width).

    One channel is repeated three times; three become their luma (ITU-R BT.601). The size is changed
    bilinearly, with antialiasing when it shrinks; the aspect ratio is not kept.
    """
    pixels = images.float()
    if images.shape[1] == 3 and own.channels == 1:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    elif images.shape[1] == 1 and own.channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif images.shape[1] != own.channels:
        raise InputError(f"images of {images.shape[1]} channels do not turn into {own.channels} channels")
    if pixels.shape[2:] != (own.height, own.width):
        size = (own.height, own.width)
        pixels = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    return pixels.round().clamp(0, 255).to(torch.uint8)
