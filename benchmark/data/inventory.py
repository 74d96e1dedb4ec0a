"""What the files of a data set hold: a digest of each, kept in the cache and made again once a file was touched.

Documents (declarations, lists, tables, label files) are hashed whenever they are looked at, images while they are
decoded and again when their stamp has changed. The decoded cache is keyed by these digests and by the files' paths.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark.contracts import HashDataset, ImageDataset
from benchmark.data.decode import Seen, digest_of, new_hash, stamp
from benchmark.spec import digest

#: A document above this size is hashed again only when its stamp has changed, like an image.
ALWAYS_BYTES = 2**26


@dataclass(frozen=True)
class Inventory:
    """The documents and images of a data set with what each of them held, by absolute path in listing order.

    file: where the inventory is kept. place: the folder that holds everything. complete: whether the images were
    hashed; only then does the key say anything.
    """

    file: Path
    place: str
    documents: Mapping[str, Seen] = field(default_factory=dict)
    images: Mapping[str, Seen] = field(default_factory=dict)
    complete: bool = True

    @property
    def key(self) -> str:
        """16 hex digits over paths below the place and contents: equal for a copy in another place."""
        found = (*self.documents.items(), *self.images.items())
        return digest([[path[len(self.place) :], held] for path, (_, held) in found])

    def with_images(self, paths: Iterable[Path], seen: Iterable[Seen]) -> Inventory:
        """The same with what decoding saw of the images; kept for the next time."""
        images = {os.path.abspath(path): one for path, one in zip(paths, seen, strict=True)}
        documents = {path: one for path, one in self.documents.items() if path not in images}
        whole = replace(self, documents=documents, images=images, complete=True)
        _write(whole)
        return whole


def look(dataset: HashDataset, root: Path | None, cache: Path, *, fresh: bool) -> Inventory:
    """The inventory of a data set as its files are now.

    fresh: hash also images of which nothing is known; otherwise that is left to decoding. Raises InputError where
    the data set does (missing files, malformed lists).
    """
    sources = [os.path.abspath(path) for path in dataset.sources(root)]
    place = os.path.commonpath(map(os.path.dirname, sources)) if sources else ""
    file = cache / "sources" / f"{dataset.info.name}-{digest(place)}.json"
    known = _read(file, place)
    listing = list(known.images)
    before = {**known.documents, **known.images}
    documents = None if _others(known, sources) else _documents(sources, listing, before)
    if isinstance(dataset, ImageDataset) and (
        documents is None or _held(documents) != _held(known.documents)
    ):
        listing = [os.path.abspath(path) for path in dataset.files(root).paths]
        documents = _documents(sources, listing, before)
    found = Inventory(file, place, documents or _documents(sources, listing, before))
    if listing and not known.images and not fresh:
        return replace(found, complete=False)
    found = replace(found, images=_images(listing, before))
    if found != known:
        _write(found)
    return found


def _others(known: Inventory, sources: Sequence[str]) -> bool:
    """Whether the set may list other images than it did: a document or image more or less, or one was missing."""
    listed = known.images.keys() & set(sources)
    return (
        [path for path in sources if path not in known.images] != list(known.documents)
        or not known.images
        or 0 < len(listed) < len(known.images)
        or not all(held for _, held in known.images.values())
    )


def _held(seen: Mapping[str, Seen]) -> list[str]:
    return [held for _, held in seen.values()]


def _documents(sources: Iterable[str], images: Iterable[str], before: Mapping[str, Seen]) -> dict[str, Seen]:
    """Every source that is no image, in order; of a folder the names in it count."""
    left_out = set(images)
    return {path: _document(path, before.get(path)) for path in sources if path not in left_out}


def _images(paths: Sequence[str], before: Mapping[str, Seen]) -> dict[str, Seen]:
    """Every image, hashed where its stamp is new."""
    seen = {path: (stamp(path), "") for path in paths}
    seen |= {path: before[path] for path in paths if path in before and before[path][0] == seen[path][0]}
    new = [path for path in paths if not seen[path][1]]
    with ThreadPoolExecutor() as pool:
        return seen | dict(zip(new, pool.map(_hashed, new), strict=True))


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
    """What was known before; nothing where that cannot be read."""
    try:
        raw = json.loads(file.read_bytes())
        documents, images = (
            {
                str(path): ((int(a), int(b), int(c), int(d)), str(held))
                for path, ((a, b, c, d), held) in one.items()
            }
            for one in (raw["documents"], raw["images"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Inventory(file, place)
    return Inventory(file, place, documents, images)


def _write(found: Inventory) -> None:
    """Beside, then renamed; a disk that cannot be written only costs the next look the same work."""
    content = json.dumps({"documents": found.documents, "images": found.images})
    with contextlib.suppress(OSError):
        found.file.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".looking-", dir=found.file.parent)
        with os.fdopen(handle, "w") as file:
            file.write(content)
        Path(scratch).replace(found.file)
