"""Which images of a data set show the same: identical pixels, and near duplicates by their thumbnails."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.load import LoadedDataset
from benchmark.files.places import cache_root

#: Side of the thumbnails that are compared, in pixels (smaller images are compared as they are).
THUMBNAIL = 16
#: Two images are near duplicates when their thumbnails differ by at most this many grey levels of 255 (root mean
#: square over pixels and channels) ...
LEVELS = 6.0
#: ... and by at most this share of either one's own contrast, so that plain images are not all alike.
CONTRAST = 0.2
#: Two vectors are near duplicates when they are at most this share of the shorter one's length apart.
VECTORS_APART = 0.05
#: Up to this many vectors are compared with each other; the work grows with the square.
MOST_VECTORS = 100_000
#: More near pairs than this are not listed: such a data set repeats itself.
MOST_PAIRS = 1_000_000
#: Up to this many bytes of pixels a run checks them by itself; beyond, only `audit` does.
RUN_BYTES = 2**30
#: Raised when digests or pairs change their meaning; older cached ones are then not read.
VERSION = 1
_BLOCK = 2_000


@dataclass(frozen=True)
class PixelFacts:
    """digests: uint64 (n,), equal for identical images. near: int64 (m, 2), pairs of rows a < b that nearly show
    the same without being identical; None when it was not looked for.
    """

    digests: np.ndarray
    near: np.ndarray | None = None


def digests(images: np.ndarray) -> np.ndarray:
    """64 bits of BLAKE2b over each image's bytes, uint64 (n,). images: uint8 (n, channels, height, width)."""
    out = np.empty(len(images), dtype=np.uint64)
    for row in range(len(images)):
        value = hashlib.blake2b(np.ascontiguousarray(images[row]).tobytes(), digest_size=8).digest()
        out[row] = int.from_bytes(value, "little")
    return out


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Area means, float32 (n, channels, side, side) with side at most `THUMBNAIL`, in grey levels 0 to 255."""
    height, width = (min(THUMBNAIL, size) for size in images.shape[2:])
    rows = np.linspace(0, images.shape[2], height + 1).astype(int)[:-1]
    columns = np.linspace(0, images.shape[3], width + 1).astype(int)[:-1]
    out = np.empty((*images.shape[:2], height, width), dtype=np.float32)
    cells = np.outer(np.diff(np.append(rows, images.shape[2])), np.diff(np.append(columns, images.shape[3])))
    for start in range(0, len(images), _BLOCK):
        block = np.asarray(images[start : start + _BLOCK], dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(block, rows, axis=2), columns, axis=3)
        out[start : start + _BLOCK] = sums / cells
    return out


def near_pairs(small: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Pairs of rows (a < b) that are near duplicates but not identical, int64 (m, 2) in order.

    small: thumbnails (n, channels, height, width); exact: digests (n,). Near duplicates have nearly the same mean
    brightness, so images are compared inside a window of the order of brightness alone.
    """
    flat, coarse = small.reshape(len(small), -1), _coarse(small)
    means, contrast = coarse.mean(axis=1), flat.std(axis=1)
    order = np.argsort(means, kind="stable")
    centred = coarse[order] - 128
    squares = (centred**2).sum(axis=1)
    sorted_means, found, count = means[order], list[np.ndarray](), 0
    for start in range(0, len(order), _BLOCK):
        stop = min(start + _BLOCK, len(order))
        last = int(np.searchsorted(sorted_means, sorted_means[stop - 1] + LEVELS, side="right"))
        products = centred[start:stop] @ centred[start:last].T
        distance = squares[start:stop, None] + squares[None, start:last] - 2 * products
        first, second = np.nonzero(distance <= coarse.shape[1] * (LEVELS + 0.1) ** 2)
        later = first < second  # each pair once, and no image with itself
        pairs = np.sort(order[np.stack([first[later] + start, second[later] + start], axis=1)], axis=1)
        for chunk in _close(pairs, flat, contrast, exact):
            found.append(chunk)
            count += len(chunk)
        if count > MOST_PAIRS:
            break
    pairs = np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def near_vectors(vectors: np.ndarray, exact: np.ndarray) -> np.ndarray | None:
    """Pairs of rows (a < b) of vectors (n, d) that nearly agree without being identical, int64 (m, 2) in order.

    None for more than `MOST_VECTORS` vectors, which are not compared.
    """
    if len(vectors) > MOST_VECTORS:
        return None
    norms = np.linalg.norm(np.asarray(vectors, dtype=np.float32), axis=1)
    found, count = list[np.ndarray](), 0
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], dtype=np.float32)
        for other in range(start, len(vectors), _BLOCK):
            against = np.asarray(vectors[other : other + _BLOCK], dtype=np.float32)
            a, b = norms[start : start + _BLOCK, None], norms[None, other : other + _BLOCK]
            allowed = VECTORS_APART * np.minimum(a, b)
            # Products round off: what may be near is measured again below.
            first, second = np.nonzero(
                a**2 + b**2 - 2 * block @ against.T <= (allowed * 1.1) ** 2 + 1e-3 * a * b
            )
            pairs = np.stack([first + start, second + other], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for chunk in np.array_split(pairs, max(1, len(pairs) // 10_000)):
                x, y = (np.asarray(vectors[chunk[:, side]], dtype=np.float64) for side in (0, 1))
                limit = VECTORS_APART * np.minimum(norms[chunk[:, 0]], norms[chunk[:, 1]])
                near = (np.linalg.norm(x - y, axis=1) <= limit) & (exact[chunk[:, 0]] != exact[chunk[:, 1]])
                found.append(chunk[near])
                count += int(near.sum())
        if count > MOST_PAIRS:
            break
    pairs = np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _coarse(small: np.ndarray) -> np.ndarray:
    """Grey thumbnails of half the side, float32 (n, cells): means of equal cells, so no two are further apart."""
    grey = small.mean(axis=1)
    count, height, width = grey.shape
    if height % 2 == 0 and width % 2 == 0:
        grey = grey.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    coarse: np.ndarray = grey.reshape(count, -1)
    return coarse


def _close(
    pairs: np.ndarray, flat: np.ndarray, contrast: np.ndarray, exact: np.ndarray
) -> Iterator[np.ndarray]:
    """Those of the candidate pairs that hold, measured exactly."""
    for start in range(0, len(pairs), 50_000):
        chunk = pairs[start : start + 50_000]
        a, b = chunk.T
        rms = np.sqrt(((flat[a] - flat[b]) ** 2).mean(axis=1))
        allowed = np.minimum(LEVELS, CONTRAST * np.minimum(contrast[a], contrast[b]))
        yield chunk[(rms <= allowed) & (exact[a] != exact[b])]


def pixel_facts(data: LoadedDataset, *, near: bool) -> PixelFacts:
    """A data set's facts, kept in the cache under its fingerprint; `near` asks for near duplicates too."""
    found = _cached(str(cache_root()), data.fingerprint)
    if found is not None and (found.near is not None or not near):
        return found
    exact = found.digests if found is not None else digests(data.images)
    pairs = None
    if near and data.info.inputs == "vectors":
        pairs = near_vectors(data.images, exact)
    elif near:
        pairs = near_pairs(thumbnails(data.images), exact)
    facts = PixelFacts(exact, pairs)
    _write(_file(cache_root(), data.fingerprint), facts)
    _cached.cache_clear()
    return facts


def for_a_run(data: LoadedDataset) -> PixelFacts | None:
    """What a run may know without being slowed: cached facts, or the digests of a set that is not too large."""
    found = _cached(str(cache_root()), data.fingerprint)
    if found is None and data.images.nbytes <= RUN_BYTES:
        return pixel_facts(data, near=False)
    return found


def _file(root: Path, fingerprint: str) -> Path:
    return root / "audit" / f"pixels-v{VERSION}-{fingerprint}.npz"


@functools.lru_cache(maxsize=4)
def _cached(root: str, fingerprint: str) -> PixelFacts | None:
    try:
        with np.load(_file(Path(root), fingerprint), allow_pickle=False) as stored:
            near = stored["near"] if "near" in stored.files else None
            return PixelFacts(stored["digests"], near)
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write(path: Path, facts: PixelFacts) -> None:
    """Beside, then renamed; a disk that cannot be written only costs the next run the same work."""
    arrays = {"digests": facts.digests} | ({} if facts.near is None else {"near": facts.near})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".pixels-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        Path(scratch).replace(path)
    except OSError:
        return
