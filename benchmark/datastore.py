"""Decoded data sets: read once, kept on disk under the key of their sources, checked by their content."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from benchmark.contracts import PARTS, DatasetInfo, Decoded, HashDataset
from benchmark.errors import InputError
from benchmark.spec import digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedDataset:
    """A decoded data set with its fingerprint: 16 hex digits over pixels, labels and fixed parts, not over paths.

    `parts` are those of `Decoded.parts`, None for a data set without fixed lists.
    """

    info: DatasetInfo
    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    fingerprint: str
    parts: Mapping[str, np.ndarray] | None = None


def cache_root() -> Path:
    """Where decoded data and indexes are kept: BENCHMARK_CACHE, or the platform's user cache folder."""
    given = os.environ.get("BENCHMARK_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("coophash-benchmark"))


def data_root(given: Path | None) -> Path | None:
    """The data folder: the flag, else BENCHMARK_DATA, else `data` in the working folder if it exists."""
    if given is not None:
        return given
    if os.environ.get("BENCHMARK_DATA"):
        return Path(os.environ["BENCHMARK_DATA"])
    return Path("data")


def ensure(dataset: HashDataset, root: Path | None, *, given: bool) -> None:
    """Make sure the files are there, downloading them where the data set can.

    given: the user named the folder, so one that does not exist is a mistake and not created. Raises InputError
    when files are missing and cannot be had.
    """
    try:
        dataset.sources(root)
    except InputError:
        if type(dataset).prepare is HashDataset.prepare or (given and root is not None and not root.is_dir()):
            raise
        log.warning("%s is not under %s; downloading it", dataset.info.name, root)
        dataset.prepare(root)


def fingerprint_of(dataset: HashDataset, root: Path | None) -> str:
    """The fingerprint alone; reads pixels only when the set was never decoded here."""
    folder = _folder(dataset, root)
    meta = _read_meta(folder)
    return meta["fingerprint"] if meta else load(dataset, root).fingerprint


def labels_of(dataset: HashDataset, root: Path | None) -> np.ndarray:
    """The labels alone, uint8 (n, classes), from the decoded cache when there is one."""
    try:
        labels: np.ndarray = np.load(_folder(dataset, root) / "labels.npy", allow_pickle=False)
        return labels
    except (OSError, ValueError, EOFError):
        return load(dataset, root).labels


def load(dataset: HashDataset, root: Path | None) -> LoadedDataset:
    """Load a data set, from the decoded cache when its sources are unchanged and its checksum holds.

    Raises InputError when files are missing or unreadable.
    """
    folder = _folder(dataset, root)
    cached = _read(folder, dataset.info)
    if cached is not None:
        return cached
    decoded = _checked(dataset.decode(root), dataset.info)
    fingerprint = _fingerprint(decoded)
    _write(folder, decoded, fingerprint)
    return LoadedDataset(
        dataset.info, decoded.images, decoded.labels, decoded.names, fingerprint, decoded.parts
    )


def _folder(dataset: HashDataset, root: Path | None) -> Path:
    """The cache folder of a data set: keyed by its version and its sources' names, sizes and times."""
    info = dataset.info
    stats = [_stat(path) for path in dataset.sources(root)]
    shape = [info.channels, info.height, info.width]
    return cache_root() / "decoded" / f"{info.name}-{digest([info.version, shape, stats])}"


def _stat(path: Path) -> tuple[str, int, int]:
    """Name inside its folders, size and time of one source file; never where the data folder lies."""
    facts = path.stat()
    return "/".join(path.parts[-3:]), facts.st_size, facts.st_mtime_ns


def _checked(decoded: Decoded, info: DatasetInfo) -> Decoded:
    n = len(decoded.images)
    wanted = (n, info.channels, info.height, info.width)
    if decoded.images.dtype != np.uint8 or decoded.images.shape != wanted:
        found = f"{decoded.images.dtype} {decoded.images.shape}"
        raise InputError(f"data set {info.name!r}: images must be uint8 {wanted}, found {found}")
    if decoded.labels.dtype != np.uint8 or decoded.labels.shape != (n, len(info.classes)):
        found = f"{decoded.labels.dtype} {decoded.labels.shape}"
        raise InputError(
            f"data set {info.name!r}: labels must be uint8 ({n}, {len(info.classes)}), found {found}"
        )
    if decoded.names.shape != (n,) or decoded.names.dtype.kind != "U":
        raise InputError(f"data set {info.name!r}: names must be {n} strings")
    for part, rows in (decoded.parts or {}).items():
        inside = rows.dtype == np.int64 and rows.ndim == 1 and ((rows >= 0) & (rows < n)).all()
        if part not in PARTS or not inside or len(np.unique(rows)) != len(rows):
            raise InputError(
                f"data set {info.name!r}: part {part!r} must be distinct int64 rows of its {n} images"
            )
    return decoded


def _fingerprint(decoded: Decoded) -> str:
    hasher = hashlib.sha256(repr((decoded.images.shape, decoded.labels.shape)).encode())
    hasher.update(np.ascontiguousarray(decoded.images).data)
    hasher.update(np.ascontiguousarray(decoded.labels).data)
    for part, rows in sorted((decoded.parts or {}).items()):
        hasher.update(f"{part} {len(rows)}".encode() + np.ascontiguousarray(rows, dtype="<i8").tobytes())
    return hasher.hexdigest()[:16]


def _read_meta(folder: Path) -> dict[str, str] | None:
    try:
        meta = json.loads((folder / "meta.json").read_text())
        return {"fingerprint": str(meta["fingerprint"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(folder: Path, info: DatasetInfo) -> LoadedDataset | None:
    meta = _read_meta(folder)
    if meta is None:
        return None
    try:
        images, labels, names = (
            np.load(folder / f"{part}.npy", allow_pickle=False) for part in ("images", "labels", "names")
        )
        parts = {
            part: np.load(folder / f"part-{part}.npy", allow_pickle=False)
            for part in PARTS
            if (folder / f"part-{part}.npy").is_file()
        }
        decoded = _checked(Decoded(images, labels, names, parts or None), info)
    except (OSError, ValueError, EOFError) as error:
        log.warning("decoded cache of %s is unreadable (%s); decoding again", info.name, error)
        return None
    if _fingerprint(decoded) != meta["fingerprint"]:
        log.warning("decoded cache of %s does not match its checksum; decoding again", info.name)
        return None
    return LoadedDataset(
        info, decoded.images, decoded.labels, decoded.names, meta["fingerprint"], decoded.parts
    )


def _write(folder: Path, decoded: Decoded, fingerprint: str) -> None:
    """Write beside, then rename: a killed process leaves no half cache. A full or read-only disk only warns."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".decoding-", dir=folder.parent))
    except OSError as error:
        log.warning("decoded data is not cached: %s", error)
        return
    try:
        for part in ("images", "labels", "names"):
            np.save(scratch / f"{part}.npy", getattr(decoded, part), allow_pickle=False)
        for part, rows in (decoded.parts or {}).items():
            np.save(scratch / f"part-{part}.npy", rows, allow_pickle=False)
        (scratch / "meta.json").write_text(json.dumps({"fingerprint": fingerprint}))
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except OSError as error:  # another process may have finished first, or the disk is full
        log.warning("decoded data is not cached: %s", error)
        shutil.rmtree(scratch, ignore_errors=True)
