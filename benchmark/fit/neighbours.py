"""The nearest database items of each query in the original space: the truth of the protocols `neighbours-K`."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmark.data.protocol import Protocol, Split
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.files.write import write_file
from benchmark.metrics.problem import Neighbours
from benchmark.spec import digest

#: Raised when the same vectors would give other neighbours; older cached ones are then not read.
VERSION = 2
#: Bytes of approximate distances that are held at once, and database rows that are read at once.
_BYTES, _ROWS = 2**28, 8192
_UNIT = 2.0**-24  # of float32: half the distance of 1 to the next number


def true_neighbours(vectors: NDArray[np.floating], split: Split, rule: Protocol, identity: str) -> Neighbours:
    """Each query's `rule.neighbours` nearest database items by `rule.distance`; kept in the cache.

    Candidates are found in single precision, with room for its rounding; which of them count is decided by distance
    in double precision, computed for each pair alone, so that equal vectors are exactly as near. Every item as near
    as the last one counts too, under the cosine to within the rounding of double precision: vectors of one
    direction tie whatever their lengths. One process computes, others wait for it; a damaged file is made again.

    Parameters
    ----------
    vectors : float (n, d)
        The whole set, memory-mapped or not; rows are read in blocks.
    split : Split
        Its `query` and `database` rows; a row that is in both is no neighbour of itself.
    rule : Protocol
        A protocol with `neighbours`.
    identity : str
        Names the vectors: with the rows, the number and the distance it names the cached file.

    Raises
    ------
    InputError
        A query has fewer other items in the database, or a vector is not finite, or has length 0 under the cosine.
    """
    assert rule.neighbours is not None
    rows = [
        hashlib.sha256(part.astype("<i8").tobytes()).hexdigest() for part in (split.query, split.database)
    ]
    key = digest([VERSION, identity, rule.neighbours, rule.distance, rows])
    path = cache_root() / "neighbours" / f"{key}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _read(path, split)
            if found is None:
                found = nearest(vectors, split.query, split.database, rule.neighbours, rule.distance)
                content = io.BytesIO()
                np.savez(content, offsets=found.offsets, rows=found.rows)
                write_file(path, content.getvalue())
            return found
    except OSError as error:
        reason = f"{error.strerror or error}; make room, or set BENCHMARK_CACHE"
        raise InputError(f"true neighbours cannot be kept in {os.fspath(path.parent)!r}: {reason}") from error


def _read(path: Path, split: Split) -> Neighbours | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            offsets, rows = arrays["offsets"], arrays["rows"]
    # zipfile raises the last two for a damaged header: of an unknown compression, as if encrypted
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None
    fits = offsets.shape == (len(split.query) + 1,) and rows.ndim == 1 and offsets[-1] == len(rows)
    fits = fits and offsets.dtype == rows.dtype == np.int64 and offsets[0] == 0 and len(rows) > 0
    return Neighbours(offsets, rows) if fits and 0 <= rows.min() <= rows.max() < len(split.database) else None


def nearest(
    vectors: NDArray[np.floating],
    query: NDArray[np.int64],
    database: NDArray[np.int64],
    k: int,
    distance: str,
) -> Neighbours:
    """As `true_neighbours`, computed. query, database: row numbers of `vectors`; the answer counts places in
    `database`. distance: `euclidean`, `cosine` or `ip` (the largest inner product is nearest).
    """
    squares = _squares(vectors, database)
    queries = np.asarray(vectors[query], dtype=np.float64)
    lengths = np.sqrt((queries * queries).sum(axis=1))
    for side, values, rows in (("query", lengths, query), ("database", squares, database)):
        bad = ~np.isfinite(values) | ((values == 0) if distance == "cosine" else False)
        if bad.any():
            what = "is not finite" if not np.isfinite(values[bad][0]) else "has length 0, which has no cosine"
            raise InputError(f"{side} vector in row {int(rows[bad][0]) + 1:,} {what}")
    scales, width = _scales(squares, lengths, distance), vectors.shape[1]
    small = queries * (1 / lengths[:, None] if distance == "cosine" else scales[0])
    room = _room(np.sqrt((small * small).sum(axis=1)), squares * scales**2, width, distance)
    slack = (width + 4) * 2.0**-52 * lengths if distance == "cosine" else np.zeros(len(query))
    step = max(1, _BYTES // (4 * len(database)))
    found = []
    for low in range(0, len(query), step):
        some = slice(low, low + step)
        near = _approximate(vectors, small[some], database, squares, scales, distance)
        for place, row in enumerate(query[some]):
            near[place][database == row] = np.inf
            last = np.partition(near[place], k - 1)[k - 1]
            places = np.flatnonzero(near[place] <= last + room[low + place])
            exact = _exact(queries[low + place], vectors, database[places], distance)
            exact[database[places] == row] = np.inf
            last = np.partition(exact, k - 1)[k - 1]
            if not np.isfinite(last):
                raise InputError(f"query {low + place} has fewer than {k:,} other database items")
            found.append(places[exact <= last + slack[low + place]])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in found])]).astype(np.int64)
    return Neighbours(offsets, np.concatenate(found).astype(np.int64))


def _squares(vectors: NDArray[np.floating], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The squared length of each row."""
    blocks = (np.asarray(vectors[rows[at : at + _ROWS]], np.float64) for at in range(0, len(rows), _ROWS))
    return np.concatenate([(block * block).sum(axis=1) for block in blocks])


def _scales(squares: NDArray[np.float64], lengths: NDArray[np.float64], distance: str) -> NDArray[np.float64]:
    """What each database vector is multiplied with, (database,), so that no product leaves single precision.

    Under the cosine every vector gets length 1; else one power of two, which rounds nothing, serves them all.
    """
    if distance == "cosine":
        return 1 / np.sqrt(squares)
    longest = max(np.sqrt(squares.max()), lengths.max())
    return np.full(len(squares), 2.0 ** -np.frexp(longest)[1])


def _approximate(
    vectors: NDArray[np.floating],
    queries: NDArray[np.float64],
    database: NDArray[np.int64],
    squares: NDArray[np.float64],
    scales: NDArray[np.float64],
    distance: str,
) -> NDArray[np.float32]:
    """Scaled distances (queries, database) up to a constant of each query, by products in single precision."""
    out = np.empty((len(queries), len(database)), dtype=np.float32)
    mine = np.ascontiguousarray(queries.T, dtype=np.float32)
    for at in range(0, len(database), _ROWS):
        some = slice(at, at + _ROWS)
        block = vectors[database[some]] * scales[some, None]  # in double precision
        products = (block.astype(np.float32) @ mine).T
        if distance == "euclidean":
            out[:, some] = squares[some] * scales[some] ** 2 - 2 * products
        else:
            out[:, some] = -products
    return out


def _room(
    lengths: NDArray[np.float64], squares: NDArray[np.float64], width: int, distance: str
) -> NDArray[np.float64]:
    """Twice the most that rounding moves an approximate distance: d + 4 units of the product of the lengths.

    lengths (queries,), squares (database,): of the scaled vectors.
    """
    longest = np.sqrt(squares.max())
    error = (width + 4) * _UNIT * lengths * longest
    if distance == "euclidean":
        error = 2 * error + 4 * _UNIT * (longest**2 + 2 * lengths * longest)
    room: NDArray[np.float64] = 4 * error + 4 * np.finfo(np.float32).tiny
    return room


def _exact(
    query: NDArray[np.float64], vectors: NDArray[np.floating], rows: NDArray[np.int64], distance: str
) -> NDArray[np.float64]:
    """Distances of one query to some rows of `vectors`, each pair by the same sums; smaller is nearer."""
    blocks = (np.asarray(vectors[rows[at : at + _ROWS]], np.float64) for at in range(0, len(rows), _ROWS))
    return np.concatenate([_exact_block(query, block, distance) for block in blocks])


def _exact_block(
    query: NDArray[np.float64], items: NDArray[np.float64], distance: str
) -> NDArray[np.float64]:
    if distance == "euclidean":
        gaps = items - query
        exact: NDArray[np.float64] = (gaps * gaps).sum(axis=1)
        return exact
    products: NDArray[np.float64] = -(items * query).sum(axis=1)
    if distance == "cosine":
        products /= np.sqrt((items * items).sum(axis=1))
    return products
