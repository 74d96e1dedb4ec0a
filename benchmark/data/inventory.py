"""What the files of a data set hold: a digest of each, kept in the cache and made again once a file was touched.

Documents (declarations, lists, tables, label files) are hashed whenever they are looked at, images while they are
decoded and again when their stamp has changed. The decoded cache is keyed by these digests and by the files' paths.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import HashDataset, ImageDataset, absolute
from benchmark.data.decode import Seen, digest_of, new_hash, stamp
from benchmark.files.write import remove_leftovers, scratch_of
from benchmark.spec import digest

#: A document above this size is hashed again only when its stamp has changed, like an image.
ALWAYS_BYTES = 2**26
#: Stamps that are held as Python's integers at a time.
_BLOCK = 2**14


@dataclass(frozen=True)
class Images:
    """Images by absolute path in listing order, their stamps (n, 4), and digests (n,), empty for unread ones."""

    paths: Sequence[str] = ()
    stamps: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.int64))
    digests: np.ndarray = field(default_factory=lambda: np.empty(0, "S32"))

    @classmethod
    def of(cls, paths: Iterable[str], seen: Iterable[Seen]) -> Images:
        """What was seen of each path."""
        paths, seen = list(paths), list(seen)
        stamps = np.array([one for one, _ in seen], np.int64).reshape(-1, 4)
        return cls(paths, stamps, np.array([held for _, held in seen], "S32"))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Images)
            and self.paths == other.paths
            and np.array_equal(self.stamps, other.stamps)
            and np.array_equal(self.digests, other.digests)
        )


@dataclass(frozen=True)
class Inventory:
    """The documents and images of a data set with what each of them held, by absolute path in listing order.

    file: where the inventory is kept. place: the folder that holds everything. complete: whether the images were
    hashed; only then does the key say anything.
    """

    file: Path
    place: str
    documents: Mapping[str, Seen] = field(default_factory=dict)
    images: Images = field(default_factory=Images)
    complete: bool = True
    known_key: str = field(default="", compare=False)

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits over paths below the place and contents: equal for a copy in another place."""
        if self.known_key:
            return self.known_key
        documents = [[path, held] for path, (_, held) in self.documents.items()]
        images = zip(self.images.paths, self.images.digests.astype("U32").tolist(), strict=True)
        return digest([[path[len(self.place) :], held] for path, held in (*documents, *images)])

    def with_images(self, paths: Iterable[Path], seen: Iterable[Seen]) -> Inventory:
        """The same with what decoding saw of the images; kept for the next time."""
        images = Images.of(absolute(paths), seen)
        there = set(images.paths)
        documents = {path: one for path, one in self.documents.items() if path not in there}
        whole = replace(self, documents=documents, images=images, complete=True, known_key="")
        _write(whole)
        return whole


def look(dataset: HashDataset, root: Path | None, cache: Path, *, fresh: bool) -> Inventory:
    """The inventory of a data set as its files are now.

    fresh: hash also images of which nothing is known; otherwise that is left to decoding. Raises InputError where
    the data set does (missing files, malformed lists).
    """
    alone = dataset.documents(root) if isinstance(dataset, ImageDataset) else None
    listing = [] if alone is None else absolute(_files(dataset, root))
    sources = absolute(dataset.sources(root) if alone is None else alone)
    folders = {os.path.dirname(path) for path in sources} | {path.rpartition(os.sep)[0] for path in listing}
    place = os.path.commonpath(folders) if folders else ""
    file = cache / "sources" / f"{dataset.info.name}-{digest(place)}.npz"
    known = _read(file, place)
    if alone is None:
        listing = list(known.images.paths)
        documents = None if _others(known, sources) else _documents(sources, listing, known)
        if isinstance(dataset, ImageDataset) and (
            documents is None or _held(documents) != _held(known.documents)
        ):
            listing = absolute(_files(dataset, root))
            documents = None
    else:
        documents = None
    found = Inventory(file, place, documents or _documents(sources, listing, known))
    if listing and not known.images.paths and not fresh:
        return replace(found, complete=False)
    found = replace(found, images=_images(listing, known.images))
    if known.known_key and found == known:
        return known
    _write(found)
    return found


def _files(dataset: HashDataset, root: Path | None) -> Sequence[Path]:
    assert isinstance(dataset, ImageDataset)
    return dataset.files(root).paths


def _others(known: Inventory, sources: Sequence[str]) -> bool:
    """Whether the set may list other images than it did: a document or image more or less, or one was missing."""
    images = set(known.images.paths)
    listed = images & set(sources)
    return (
        [path for path in sources if path not in images] != list(known.documents)
        or not images
        or 0 < len(listed) < len(images)
        or not (known.images.digests != b"").all()
    )


def _held(seen: Mapping[str, Seen]) -> list[str]:
    return [held for _, held in seen.values()]


def _documents(sources: Iterable[str], images: Iterable[str], known: Inventory) -> dict[str, Seen]:
    """Every source that is no image, in order; of a folder the names in it count."""
    left_out = set(images)
    return {path: _document(path, known.documents.get(path)) for path in sources if path not in left_out}


def _images(paths: list[str], known: Images) -> Images:
    """Every image, hashed where its stamp is new."""
    stamps = np.empty((len(paths), 4), np.int64)
    for start in range(0, len(paths), _BLOCK):
        block = paths[start : start + _BLOCK]
        stamps[start : start + _BLOCK] = [stamp(path) for path in block]
    digests = np.full(len(paths), b"", "S32")
    if paths == known.paths:
        rows = np.arange(len(paths))
    else:
        row_of = {path: row for row, path in enumerate(known.paths)}
        rows = np.fromiter((row_of.get(path, -1) for path in paths), np.int64, len(paths))
    same = np.flatnonzero(rows >= 0)
    same = same[(known.stamps[rows[same]] == stamps[same]).all(axis=1)]
    digests[same] = known.digests[rows[same]]
    new = np.flatnonzero(digests == b"").tolist()
    with ThreadPoolExecutor() as pool:
        for row, (now, held) in zip(new, pool.map(_hashed, [paths[row] for row in new]), strict=True):
            stamps[row], digests[row] = now, held
    return Images(paths, stamps, digests)


def _document(path: str, known: Seen | None) -> Seen:
    now = stamp(path)
    return known if known and known[1] and known[0] == now and now[0] > ALWAYS_BYTES else _hashed(path)


def _hashed(path: str) -> Seen:
    now = stamp(path)
    try:
        if os.path.isdir(path):
            return now, digest_of("\0".join(sorted(os.listdir(path))).encode(errors="surrogateescape"))
        with open(path, "rb") as file:
            return now, hashlib.file_digest(file, new_hash).hexdigest()
    except OSError:  # reading it will say so
        return now, ""


def _read(file: Path, place: str) -> Inventory:
    """What was known before; nothing where that cannot be read. The file's checksums are numpy's and zip's own."""
    try:
        with np.load(file, allow_pickle=False) as raw:
            told = json.loads(raw["told"].tobytes())
            names = raw["paths"].tobytes().decode(errors="surrogateescape")
            images = Images(names.split("\0") if names else [], raw["stamps"], raw["digests"])
        n = len(images.paths)
        if images.stamps.shape != (n, 4) or images.stamps.dtype != np.int64 or images.digests.shape != (n,):
            return Inventory(file, place)
        documents = {str(path): _seen(one) for path, one in told["documents"].items()}
        return Inventory(file, place, documents, images, known_key=str(told["key"]))
    except Exception:  # noqa: BLE001 - damaged archives fail in many ways
        return _read_former(file.with_suffix(".json"), file, place)


def _read_former(former: Path, file: Path, place: str) -> Inventory:
    """What an earlier version kept, as JSON."""
    try:
        raw = json.loads(former.read_bytes())
        documents, images = (
            {str(path): _seen(one) for path, one in raw[kind].items()} for kind in ("documents", "images")
        )
        return Inventory(file, place, documents, Images.of(images, images.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Inventory(file, place)


def _seen(raw: Any) -> Seen:
    (size, changed, created, number), held = raw
    return (int(size), int(changed), int(created), int(number)), str(held)


def _write(found: Inventory) -> None:
    """Beside, then renamed; a disk that cannot be written only costs the next look the same work."""
    told = json.dumps({"documents": found.documents, "key": found.key}).encode()
    paths = "\0".join(found.images.paths).encode(errors="surrogateescape")
    said, named = np.frombuffer(told, np.uint8), np.frombuffer(paths, np.uint8)
    images = found.images
    with contextlib.suppress(OSError):
        found.file.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=scratch_of(found.file).name, dir=found.file.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, told=said, paths=named, stamps=images.stamps, digests=images.digests)
        Path(scratch).replace(found.file)
        remove_leftovers(found.file)
        found.file.with_suffix(".json").unlink(missing_ok=True)
