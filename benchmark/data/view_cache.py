"""The images of views, and their frozen features, on disk: made once for all fits that look at them."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from benchmark.data.decode import stamp
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.files.write import write_file

log = logging.getLogger(__name__)

#: GiB that all views together may take; BENCHMARK_VIEW_CACHE_GIB says another number, 0 keeps none.
LIMIT_GIB = 64.0
#: A view that nobody has read for so many seconds makes room for others when the limit is reached.
UNUSED_SECONDS = 24 * 3600
_BLOCK = 500


def kept(
    name: str,
    shape: tuple[int, ...],
    make: Callable[[int, int], np.ndarray],
    dtype: type[np.generic] = np.uint8,
) -> np.ndarray | None:
    """The array of `shape` under a name, memory-mapped; `make(start, stop)` gives its rows the first time.

    Processes that want the same one wait for the one that makes it. It is there whole or not at all. None where
    there is no room for it, or where the cache cannot be written. Raises InputError for a limit that is no number.
    """
    path, limit = cache_root() / "views" / f"{name}.npy", _limit()
    need = math.prod(shape) * np.dtype(dtype).itemsize
    if need > limit:
        return None
    try:
        found = _read(path, shape, dtype)
        if found is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = _read(path, shape, dtype)
                if found is None and _has_room(path.parent, need, limit):
                    _write(path, shape, make, dtype)
                    found = _read(path, shape, dtype)
        if found is not None:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # read now, not changed
    except OSError as error:
        log.warning("a view is not cached: %s", error)
        return None
    return found


def _limit() -> float:
    text = os.environ.get("BENCHMARK_VIEW_CACHE_GIB", "") or str(LIMIT_GIB)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise InputError(f"BENCHMARK_VIEW_CACHE_GIB is {text!r}; allowed: a number of GiB, 0 or more")
    return limit * 2**30


def _read(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray | None:
    """The array, if it is the one that was written: by size and time of its file, or else by its digest."""
    try:
        told = json.loads(path.with_suffix(".json").read_text())
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        size, moment = stamp(path)[:2]
        same = [size, moment] == told["stamp"] or _digest(found) == told["sha256"]
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    return found if same and found.shape == shape and found.dtype == dtype else None


def _write(
    path: Path,
    shape: tuple[int, ...],
    make: Callable[[int, int], np.ndarray],
    dtype: type[np.generic],
) -> None:
    scratch = path.with_name(f".{path.name}.partial")  # one process at a time: the lock's
    hasher = hashlib.sha256()
    out = np.lib.format.open_memmap(scratch, mode="w+", dtype=dtype, shape=shape)
    for start in range(0, len(out), _BLOCK):
        block = np.ascontiguousarray(make(start, min(start + _BLOCK, len(out))))
        hasher.update(block.data)
        out[start : start + _BLOCK] = block
    out.flush()
    del out
    told = {"sha256": hasher.hexdigest(), "stamp": [*stamp(scratch)[:2]]}
    write_file(path.with_suffix(".json"), json.dumps(told).encode())
    scratch.replace(path)


def _digest(array: np.ndarray) -> str:
    hasher = hashlib.sha256()
    for start in range(0, len(array), _BLOCK):
        hasher.update(np.ascontiguousarray(array[start : start + _BLOCK]).data)
    return hasher.hexdigest()


def _has_room(folder: Path, need: int, limit: float) -> bool:
    """Whether a view may be added; views long unused go first, never those that a running sweep comes back to."""
    files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_atime)
    taken = sum(path.stat().st_size for path in files)
    for path in files:
        if taken + need <= limit or time.time() - path.stat().st_atime < UNUSED_SECONDS:
            break
        taken -= path.stat().st_size
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    if taken + need > limit:
        log.warning("the cache of views is full (%.3g GiB): the view is made anew", limit / 2**30)
        return False
    if shutil.disk_usage(folder).free < 2 * need:
        log.warning("too little room in %s to cache a view: it is made anew", folder)
        return False
    return True
