"""Decoded data sets: read once, kept on disk under the key of their sources, checked by their content."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.contracts import PARTS, DatasetInfo, Decoded, HashDataset, ImageDataset, ImageFiles
from benchmark.data import cache, inventory, pictures
from benchmark.data.decode import MISSING, Bad, Target, missing, refuse
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.spec import digest

log = logging.getLogger(__name__)

_SKIP = "BENCHMARK_SKIP_BAD_IMAGES"


@dataclass(frozen=True)
class LoadedDataset:
    """A decoded data set with its fingerprint: 16 hex digits over pixels, labels and fixed parts, not over paths.

    `images` are those of `Decoded.images`: pixels, or vectors where `info.inputs` says so.
    `images` is memory-mapped and read-only for a large set. `parts` are those of `Decoded.parts`, None for a data
    set without fixed lists; `facts` are those of `Decoded.facts`, with the images that were left out.
    """

    info: DatasetInfo
    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    fingerprint: str
    parts: Mapping[str, np.ndarray] | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)


@contextmanager
def skipping_bad_images(wanted: bool) -> Iterator[None]:
    """Leave images that cannot be read out, here and in the processes started from here, instead of stopping."""
    before = os.environ.get(_SKIP)
    if wanted:
        os.environ[_SKIP] = "1"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop(_SKIP)
            if before is not None:
                os.environ[_SKIP] = before


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


@dataclass(frozen=True)
class DatasetSummary:
    """What a plan needs of a data set: `labels` uint8 (n, classes), the rest as in `LoadedDataset`."""

    fingerprint: str
    labels: np.ndarray
    parts: Mapping[str, np.ndarray] | None


def summarise(dataset: HashDataset, root: Path | None) -> DatasetSummary:
    """Fingerprint, labels and fixed parts; reads pixels only when the set was never decoded here.

    Raises InputError when files are missing or unreadable.
    """
    for folder in _folders(dataset, _look(dataset, root)):
        meta = cache.read_meta(folder)
        if meta is None:
            continue
        try:
            labels: np.ndarray = np.load(folder / "labels.npy", allow_pickle=False)
            return DatasetSummary(meta.fingerprint, labels, cache.read_parts(folder))
        except (OSError, ValueError, EOFError):
            continue
    data = load(dataset, root)
    return DatasetSummary(data.fingerprint, data.labels, data.parts)


def fingerprint_of(dataset: HashDataset, root: Path | None) -> str:
    """The fingerprint alone."""
    return summarise(dataset, root).fingerprint


def load(dataset: HashDataset, root: Path | None) -> LoadedDataset:
    """Load a data set, from the decoded cache when its sources hold what they held and its checksum is right.

    Raises InputError when files are missing or unreadable.
    """
    found = _look(dataset, root)
    for folder in _folders(dataset, found):
        cached = _read(folder, dataset.info)
        if cached is not None:
            return cached
    if isinstance(dataset, ImageDataset):
        return _decode_files(dataset, root, found)
    decoded = check(dataset.decode(root), dataset.info)
    meta = cache.Meta(fingerprint(decoded), dict(decoded.facts))
    cache.write(_folders(dataset, found)[0], decoded, meta)
    return _loaded(dataset.info, decoded, meta)


def load_known(info: DatasetInfo, fingerprint: str) -> LoadedDataset | None:
    """A data set by the fingerprint that it was planned with, from the decoded cache; None where it is not there.

    Nobody looks at its files, lists or tables, which takes long for a million images.
    """
    for folder in sorted((cache_root() / "decoded").glob(f"{info.name}-*")):
        meta = cache.read_meta(folder)
        if meta is not None and meta.fingerprint == fingerprint:
            found = _read(folder, info)
            if found is not None:
                return found
    return None


def _look(dataset: HashDataset, root: Path | None) -> inventory.Inventory:
    """What the sources hold. Images that nobody hashed are hashed first where the cache may have them decoded."""
    fresh = any((cache_root() / "decoded").glob(f"{dataset.info.name}-*"))
    return inventory.look(dataset, root, cache_root(), fresh=fresh)


def _folders(dataset: HashDataset, found: inventory.Inventory) -> list[Path]:
    """Where a data set may lie decoded: under a key of its version and of its sources' paths and contents.

    A reading with images left out has a folder of its own, which counts only where leaving out is allowed.
    """
    if not found.complete:
        return []
    info = dataset.info
    key: list[object] = [found.key, info.version, [info.channels, info.height, info.width]]
    if isinstance(dataset, ImageDataset):
        key += [dataset.fit, dataset.zoom, pictures.VERSION]
    folder = cache_root() / "decoded" / f"{info.name}-{digest(key)}"
    return [folder, folder.with_name(f"{folder.name}-skipped")] if _skipping() else [folder]


def _skipping() -> bool:
    return bool(os.environ.get(_SKIP))


def check(decoded: Decoded, info: DatasetInfo) -> Decoded:
    """The same, or InputError that says what does not fit the data set's facts."""
    n = len(decoded.images)
    vectors = info.inputs == "vectors"
    wanted = (n, info.channels) if vectors else (n, info.channels, info.height, info.width)
    types = ("float16", "float32") if vectors else ("uint8",)
    if str(decoded.images.dtype) not in types or decoded.images.shape != wanted:
        found = f"{decoded.images.dtype} {decoded.images.shape}"
        raise InputError(
            f"data set {info.name!r}: {info.inputs} must be {' or '.join(types)} {wanted}, found {found}"
        )
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


def fingerprint(decoded: Decoded) -> str:
    """16 hex digits over pixels, labels and fixed parts; not over names or paths."""
    hasher = hashlib.sha256(repr((decoded.images.shape, decoded.labels.shape)).encode())
    block = max(1, (64 << 20) // max(1, decoded.images[:1].nbytes))
    for start in range(0, len(decoded.images), block):  # a memory-mapped set is read piece by piece
        hasher.update(np.ascontiguousarray(decoded.images[start : start + block]).data)
    hasher.update(np.ascontiguousarray(decoded.labels).data)
    for part, rows in sorted((decoded.parts or {}).items()):
        hasher.update(f"{part} {len(rows)}".encode() + np.ascontiguousarray(rows, dtype="<i8").tobytes())
    return hasher.hexdigest()[:16]


def _loaded(info: DatasetInfo, decoded: Decoded, meta: cache.Meta) -> LoadedDataset:
    return LoadedDataset(
        info, decoded.images, decoded.labels, decoded.names, meta.fingerprint, decoded.parts, meta.facts
    )


def _read(folder: Path, info: DatasetInfo) -> LoadedDataset | None:
    meta = cache.read_meta(folder)
    if meta is None:
        return None
    try:
        decoded = check(cache.read(folder), info)
    except (OSError, ValueError, EOFError) as error:
        log.warning("decoded cache of %s is unreadable (%s); decoding again", info.name, error)
        return None
    if not cache.trusted(folder, meta) and fingerprint(decoded) != meta.fingerprint:
        log.warning("decoded cache of %s does not match its checksum; decoding again", info.name)
        return None
    return _loaded(info, decoded, meta)


def _decode_files(dataset: ImageDataset, root: Path | None, found: inventory.Inventory) -> LoadedDataset:
    """Decode a data set of image files into its cache, or into memory where the cache cannot be written."""
    info, listed, skip = dataset.info, dataset.files(root), _skipping()
    absent = missing(listed)
    if absent and not skip:
        raise refuse(info.name, absent, len(listed.paths))
    gone = {each.row for each in absent}
    files = _without(listed, gone)
    shape = (len(files.paths), info.channels, info.height, info.width)
    with cache.Sink(cache_root() / "decoded", shape) as sink:
        images, unreadable, seen = sink.fill(files, Target.of(dataset), info.name)
        if unreadable and not skip:
            raise refuse(info.name, unreadable, len(files.paths))
        kept = _without(files, {each.row for each in unreadable})
        if not len(kept.paths):
            raise InputError(f"data set {info.name!r} holds no image that can be read")
        if "paths" in kept.facts:
            log.warning("%s: %s", info.name, kept.facts["paths"])
        if "unused" in kept.facts:
            log.warning("%s: not used: %s", info.name, kept.facts["unused"])
        left_out = [*absent, *unreadable]
        facts = {**kept.facts, **_facts(left_out)}
        decoded = check(Decoded(images, kept.labels, kept.names, kept.parts, facts), info)
        meta = cache.Meta(fingerprint(decoded), dict(facts))
        each = iter(seen)
        found = found.with_images(
            listed.paths, ((MISSING, "") if row in gone else next(each) for row in range(len(listed.paths)))
        )
        decoded = sink.keep(_folders(dataset, found)[-1 if left_out else 0], decoded, meta)
    return _loaded(info, decoded, meta)


def _facts(bad: list[Bad]) -> dict[str, str | int]:
    if not bad:
        return {}
    log.warning("%d images are left out, first %s", len(bad), bad[0].reason)
    return {"skipped_images": len(bad), "skipped_names": "; ".join(each.name for each in bad)}


def _without(files: ImageFiles, rows: set[int]) -> ImageFiles:
    """The listing without some rows; parts keep their order and point at the new row numbers."""
    if not rows:
        return files
    keep = np.array([row not in rows for row in range(len(files.paths))])
    renumbered = np.cumsum(keep) - 1
    parts = None
    if files.parts is not None:
        parts = {part: renumbered[old[keep[old]]].astype(np.int64) for part, old in files.parts.items()}
    return ImageFiles(
        paths=[path for path, kept in zip(files.paths, keep, strict=True) if kept],
        labels=files.labels[keep],
        names=files.names[keep],
        parts=parts,
        facts=files.facts,
        origins=[origin for origin, kept in zip(files.origins, keep, strict=True) if kept]
        if files.origins
        else (),
    )
