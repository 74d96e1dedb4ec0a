"""Image files to one array: decoded and resized once, in parallel, straight into a file or into memory.

Images that cannot be read are all found, counted and named before anything is said about them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import DatasetInfo, ImageDataset, ImageFiles, absolute
from benchmark.data import pictures
from benchmark.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Images that one thread decodes at a time, and blocks in flight for each thread: what bounds the memory.
BLOCK = 128
_AHEAD = 3
#: Bad images that a message names; the count covers all of them.
_NAMED = 5
#: Size, times and number of a file in its file system; whoever changes the file changes one of them.
Stamp = tuple[int, int, int, int]
MISSING: Stamp = (-1, 0, 0, 0)
_INT64 = 2**63 - 1
#: A file's stamp and the digest of its bytes, empty where they could not be read.
Seen = tuple[Stamp, str]


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
        for row, path in enumerate(absolute(files.paths))
        if not os.path.isfile(path)
    ]


def refuse(name: str, bad: list[Bad], total: int, what: str = "data set") -> InputError:
    """The error for images that cannot be read: how many, the first few, and what can be done."""
    shown = "; ".join(each.reason for each in bad[:_NAMED]) + ("; ..." if len(bad) > _NAMED else "")
    return InputError(
        f"{what} {name!r}: {len(bad)} of {total:,} images cannot be read: {shown}. "
        "Mend them, or leave them out with --skip-bad-images"
    )


def stamp(path: Path | str) -> Stamp:
    """The stamp of a file, `MISSING` for one that is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # a name with a zero byte
        return MISSING
    return (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino & _INT64,
    )  # Windows counts further


def new_hash(content: bytes | memoryview = b"") -> hashlib.blake2b:
    """BLAKE2b of 128 bits."""
    return hashlib.blake2b(content, digest_size=16)


def digest_of(content: bytes) -> str:
    """32 hex digits over a file's bytes."""
    return new_hash(content).hexdigest()


@dataclass(frozen=True)
class Block:
    """Images uint8 (m, channels, height, width) that could be read, the others, and what each file held."""

    images: np.ndarray
    bad: list[Bad]
    seen: list[Seen]


def blocks(files: ImageFiles, target: Target, title: str) -> Iterator[Block]:
    """Decode in listing order, and hash each file's bytes while they are at hand.

    Threads decode (Pillow releases the interpreter's lock); a few blocks at most are in memory.
    """
    workers = max(
        1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    starts = iter(range(0, len(files.paths), BLOCK))
    pending: deque[Future[Block]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        with _bar(title, len(files.paths)) as advance:
            while True:
                while len(pending) < workers * _AHEAD and (start := next(starts, None)) is not None:
                    pending.append(pool.submit(_block, files, start, target))
                if not pending:
                    return
                block = pending.popleft().result()
                advance(len(block.seen))
                yield block
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _block(files: ImageFiles, start: int, target: Target) -> Block:
    rows = range(start, min(start + BLOCK, len(files.paths)))
    out = np.empty((len(rows), target.channels, target.height, target.width), dtype=np.uint8)
    bad: list[Bad] = []
    seen: list[Seen] = []
    for row in rows:
        seen.append((stamp(files.paths[row]), ""))
        try:
            content = pictures.content(files.paths[row])
            seen[-1] = seen[-1][0], digest_of(content)
            out[row - start - len(bad)] = decode(files.paths[row], target, content)
        except InputError as error:
            reason = f"{_where(files, row)} cannot be decoded: {error}"
            bad.append(Bad(row, str(files.names[row]), reason))
    return Block(out[: len(rows) - len(bad)], bad, seen)


def _where(files: ImageFiles, row: int) -> str:
    origin = f"{files.origins[row]}: " if files.origins else ""
    return f"{origin}image {str(files.paths[row])!r}"


def decode(path: Path, target: Target, content: bytes | None = None) -> np.ndarray:
    """One image file as uint8 (channels, height, width); `content`: its bytes, where they were read already.

    Raises InputError with the reason it cannot be read.
    """
    content = pictures.content(path) if content is None else content
    npy = path.suffix.lower() == ".npy"
    picture = pictures.parse(content, "RGB" if target.channels == 3 else "L", npy=npy)
    return _fitted(picture, target)


def _fitted(picture: Image, target: Target) -> np.ndarray:
    from PIL import Image as pillow

    if picture.size != (target.width, target.height):
        box = crop_box(picture.width, picture.height, target) if target.fit == "crop" else None
        picture = picture.resize((target.width, target.height), pillow.Resampling.BILINEAR, box=box)
    array = np.asarray(picture, dtype=np.uint8)
    return array.transpose(2, 0, 1) if target.channels == 3 else array[None]


def crop_box(width: int, height: int, target: Target) -> tuple[float, float, float, float]:
    """The part of an image that ends up inside: left, top, right, bottom in its own pixels, never outside it."""
    scale = max(target.width / width, target.height / height) * target.zoom
    wide, high = target.width / scale, target.height / scale
    left, top = (width - wide) / 2, (height - high) / 2  # a rounding may give less than 0
    return max(0.0, left), max(0.0, top), min(float(width), left + wide), min(float(height), top + high)


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
