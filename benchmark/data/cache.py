"""The decoded cache on disk: a folder of arrays that appears whole or not at all."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmark.contracts import PARTS, Decoded, ImageFiles
from benchmark.data.decode import Bad, Seen, Target, blocks, stamp
from benchmark.errors import InputError
from benchmark.files.write import alive

log = logging.getLogger(__name__)

#: Images above this size are memory-mapped, and their checksum is trusted while size and time stay the same.
MMAP_BYTES = 2**30
#: Labels and names above this size are memory-mapped: workers share them.
MMAP_ROWS_BYTES = 2**26


@dataclass(frozen=True)
class Meta:
    """What a cache folder says of itself: fingerprint, facts for the record, size and time of images.npy."""

    fingerprint: str
    facts: dict[str, str | int] = field(default_factory=dict)
    images: tuple[int, int] = (0, 0)


def read_meta(folder: Path) -> Meta | None:
    """The folder's `meta.json`; None where it is missing or unreadable."""
    try:
        raw: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        return Meta(
            str(raw["fingerprint"]),
            {
                str(key): value if isinstance(value, int) else str(value)
                for key, value in raw["facts"].items()
            },
            (int(raw["images"][0]), int(raw["images"][1])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def trusted(folder: Path, meta: Meta) -> bool:
    """Whether the checksum of a large set need not be computed again: nobody has touched its file."""
    return meta.images[0] > MMAP_BYTES and stamp(folder / "images.npy")[:2] == meta.images


def read(folder: Path) -> Decoded:
    """The arrays of a cache folder, large ones memory-mapped. Raises OSError, ValueError or EOFError."""
    images = _load_images(folder / "images.npy")
    labels, names = (_load(folder / f"{part}.npy", MMAP_ROWS_BYTES) for part in ("labels", "names"))
    return Decoded(images, labels, names, read_parts(folder))


def read_parts(folder: Path) -> dict[str, np.ndarray] | None:
    """The fixed parts of a cache folder, None where it has none. Raises OSError, ValueError or EOFError."""
    files = {part: folder / f"part-{part}.npy" for part in PARTS}
    parts: dict[str, np.ndarray] = {
        part: np.load(path, allow_pickle=False) for part, path in files.items() if path.is_file()
    }
    return parts or None


def write(folder: Path, decoded: Decoded, meta: Meta) -> None:
    """Write beside, then rename: a killed process leaves no half cache. A full or read-only disk only warns."""
    try:
        scratch = _scratch(folder.parent)
    except OSError as error:
        log.warning("decoded data is not cached: %s", error)
        return
    try:
        np.save(scratch / "images.npy", decoded.images, allow_pickle=False)
        _finish(scratch, folder, decoded, meta)
    except OSError as error:  # another process may have finished first, or the disk is full
        log.warning("decoded data is not cached: %s", error)
        shutil.rmtree(scratch, ignore_errors=True)


class Sink:
    """Where the images of a large set go, block by block: into a scratch folder beside the cache.

    A small set whose cache cannot be written goes into memory instead, with a warning. Leaving the context removes
    whatever was not kept.
    """

    def __init__(self, parent: Path, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape
        self.bytes = math.prod(shape)
        self.scratch: Path | None = None
        try:
            self.scratch = _scratch(parent)
            free = shutil.disk_usage(parent).free
            if free < self.bytes:
                raise OSError(f"{self.bytes:,} bytes are needed in {str(parent)!r}, {free:,} are free")
        except OSError as error:
            self._without_disk(error)

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _without_disk(self, error: OSError) -> None:
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None
        if self.bytes > MMAP_BYTES:
            raise InputError(f"the decoded cache cannot be written ({error}); set BENCHMARK_CACHE") from None
        log.warning("decoded data is not cached: %s", error)

    def fill(self, files: ImageFiles, target: Target, title: str) -> tuple[np.ndarray, list[Bad], list[Seen]]:
        """Decode everything; returns the images that can be read, in order, the others, and what each file held."""
        if self.scratch is not None:
            try:
                return self._into_file(self.scratch / "images.npy", files, target, title)
            except OSError as error:  # the disk filled up meanwhile
                self._without_disk(error)
        bad, seen, pieces = list[Bad](), list[Seen](), list[np.ndarray]()
        for block in blocks(files, target, title):
            pieces.append(block.images)
            bad += block.bad
            seen += block.seen
        return np.concatenate(pieces) if pieces else np.empty(self.shape, np.uint8), bad, seen

    def _into_file(
        self, path: Path, files: ImageFiles, target: Target, title: str
    ) -> tuple[np.ndarray, list[Bad], list[Seen]]:
        bad, seen = list[Bad](), list[Seen]()
        with path.open("wb") as file:
            begin = _header(file, self.shape)
            for block in blocks(files, target, title):
                file.write(block.images.data)
                bad += block.bad
                seen += block.seen
            if bad:
                file.seek(0)
                if _header(file, (self.shape[0] - len(bad), *self.shape[1:])) != begin:
                    raise RuntimeError("numpy's header changed its length with the number of images")
        return _load_images(path), bad, seen

    def keep(self, folder: Path, decoded: Decoded, meta: Meta) -> Decoded:
        """Turn the scratch folder into the cache folder; returns the data as it now lies there."""
        if self.scratch is None:
            return decoded
        try:
            _finish(self.scratch, folder, decoded, meta)
        except OSError as error:
            if isinstance(decoded.images, np.memmap):
                raise InputError(f"the decoded cache cannot be written ({error})") from None
            log.warning("decoded data is not cached: %s", error)
            return decoded
        self.scratch = None
        return replace(decoded, images=_load_images(folder / "images.npy"))


def _load_images(path: Path) -> np.ndarray:
    return _load(path, MMAP_BYTES)


def _load(path: Path, limit: int) -> np.ndarray:
    large = path.stat().st_size > limit
    array: np.ndarray = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    return array


def _header(file: Any, shape: tuple[int, ...]) -> int:
    """Write the header of a C-ordered uint8 array; returns where the data begin."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return int(file.tell())


def _finish(scratch: Path, folder: Path, decoded: Decoded, meta: Meta) -> None:
    arrays: Mapping[str, np.ndarray] = {"labels": decoded.labels, "names": decoded.names}
    for name, array in arrays.items():
        np.save(scratch / f"{name}.npy", array, allow_pickle=False)
    for part, rows in (decoded.parts or {}).items():
        np.save(scratch / f"part-{part}.npy", rows, allow_pickle=False)
    content = {
        "fingerprint": meta.fingerprint,
        "facts": meta.facts,
        "images": stamp(scratch / "images.npy")[:2],
    }
    (scratch / "meta.json").write_text(json.dumps(content))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _scratch(parent: Path) -> Path:
    """A scratch folder that says whose it is; those that dead processes of this machine left are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    mine = f".decoding-{socket.gethostname()}-"
    for left in parent.glob(f"{mine}*"):
        owner = left.name.removeprefix(mine).split("-")[0]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{mine}{os.getpid()}-", dir=parent))
