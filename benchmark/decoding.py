"""Image files to one array: decoded and resized once, in parallel, straight into a file or into memory.

Images that cannot be read are all found, counted and named before anything is said about them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.dataset import DatasetInfo, ImageDataset, ImageFiles
from benchmark.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Images that one thread decodes at a time, and blocks in flight for each thread: what bounds the memory.
BLOCK = 128
_AHEAD = 3
#: Bad images that a message names; the count covers all of them.
_NAMED = 5
#: A `.npy` image larger than this is not believed.
_MAX_NPY_BYTES = 2**30


@dataclass(frozen=True)
class Bad:
    """One image that cannot be read: its row in the listing, its name and why."""

    row: int
    name: str
    reason: str


@dataclass(frozen=True)
class Target:
    """What every image is brought to: channels, height, width in pixels, and how (see `ImageDataset`)."""

    channels: int
    height: int
    width: int
    fit: str
    zoom: float

    @classmethod
    def of(cls, dataset: ImageDataset) -> Target:
        """The target of a data set."""
        info: DatasetInfo = dataset.info
        return cls(info.channels, info.height, info.width, dataset.fit, dataset.zoom)


def missing(files: ImageFiles) -> list[Bad]:
    """The listed images that are not there."""
    return [
        Bad(row, str(files.names[row]), f"{_where(files, row)} is missing")
        for row, path in enumerate(files.paths)
        if not os.path.isfile(path)
    ]


def refuse(name: str, bad: list[Bad], total: int) -> InputError:
    """The error for images that cannot be read: how many, the first few, and what can be done."""
    shown = "; ".join(each.reason for each in bad[:_NAMED]) + ("; ..." if len(bad) > _NAMED else "")
    return InputError(
        f"data set {name!r}: {len(bad)} of {total:,} images cannot be read: {shown}. "
        "Mend them, or leave them out with --skip-bad-images"
    )


def blocks(files: ImageFiles, target: Target, title: str) -> Iterator[tuple[np.ndarray, list[Bad]]]:
    """Decode in listing order: uint8 (m, channels, height, width) of the readable images, and the others.

    Threads decode (Pillow releases the interpreter's lock); a few blocks at most are in memory.
    """
    workers = max(
        1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    starts = iter(range(0, len(files.paths), BLOCK))
    pending: deque[Future[tuple[np.ndarray, list[Bad]]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        with _bar(title, len(files.paths)) as advance:
            while True:
                while len(pending) < workers * _AHEAD and (start := next(starts, None)) is not None:
                    pending.append(pool.submit(_block, files, start, target))
                if not pending:
                    return
                images, bad = pending.popleft().result()
                advance(len(images) + len(bad))
                yield images, bad
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _block(files: ImageFiles, start: int, target: Target) -> tuple[np.ndarray, list[Bad]]:
    rows = range(start, min(start + BLOCK, len(files.paths)))
    out = np.empty((len(rows), target.channels, target.height, target.width), dtype=np.uint8)
    bad: list[Bad] = []
    for row in rows:
        try:
            out[row - start - len(bad)] = decode(files.paths[row], target)
        except InputError as error:
            reason = f"{_where(files, row)} cannot be decoded: {error}"
            bad.append(Bad(row, str(files.names[row]), reason))
    return out[: len(rows) - len(bad)], bad


def _where(files: ImageFiles, row: int) -> str:
    origin = f"{files.origins[row]}: " if files.origins else ""
    return f"{origin}image {str(files.paths[row])!r}"


def decode(path: Path, target: Target) -> np.ndarray:
    """One image file as uint8 (channels, height, width). Raises InputError with the reason it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.suffix.lower() == ".npy":
            picture = Image.fromarray(_read_npy(path))
            return _fitted(picture, target)
        with Image.open(path) as opened:
            return _fitted(opened, target)
    except InputError:
        raise
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(str(error) or type(error).__name__) from None
    except (Image.DecompressionBombError, MemoryError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{type(error).__name__}: {error}") from None


def _read_npy(path: Path) -> np.ndarray:
    if path.stat().st_size > _MAX_NPY_BYTES:
        raise InputError(f"it is larger than {_MAX_NPY_BYTES:,} bytes")
    array = np.load(path, allow_pickle=False)
    colours = array.ndim == 3 and array.shape[2] in (1, 3)
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or not (array.ndim == 2 or colours):
        raise InputError(
            f"it holds {array.dtype} {array.shape}, not uint8 (height, width) or (height, width, 3)"
        )
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _fitted(image: Image, target: Target) -> np.ndarray:
    from PIL import Image as pillow

    picture = image.convert("RGB" if target.channels == 3 else "L")
    wanted = (target.width, target.height)
    if picture.size != wanted:
        box = None
        if target.fit == "crop":  # the part of the image that ends up inside, in its own coordinates
            scale = max(side / have for side, have in zip(wanted, picture.size, strict=True)) * target.zoom
            wide, high = (side / scale for side in wanted)
            left, top = (picture.width - wide) / 2, (picture.height - high) / 2
            box = (left, top, left + wide, top + high)
        picture = picture.resize(wanted, pillow.Resampling.BILINEAR, box=box)
    array = np.asarray(picture, dtype=np.uint8)
    return array.transpose(2, 0, 1) if target.channels == 3 else array[None]


@contextlib.contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"decoding {title}", total=total)
        yield lambda count: progress.advance(task, count)
