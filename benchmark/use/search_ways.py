"""Ways to search: binary indexes over codes, and what a user would take instead over the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmark.use.index import FLIPS, KEY, Kind, empty_index

#: Neighbours that are compared with the exact ones, and items whose order is scored.
NEAREST, DEPTH = 10, 100


@dataclass(frozen=True)
class Case:
    """What is searched: packed codes uint8 (n, ceil(bits / 8)) and float32 vectors (n, d) of the same items.

    labels: multi-hot (n, classes) of both sides, or None. what: names the vectors.
    """

    bits: int
    codes: np.ndarray
    query_codes: np.ndarray
    vectors: np.ndarray
    query_vectors: np.ndarray
    what: str
    labels: np.ndarray | None = None
    query_labels: np.ndarray | None = None


Search = Callable[[int], np.ndarray]
#: Gives bytes an item and a search for k rows.
Build = Callable[[], tuple[float, Search]]


def ways(faiss: Any, case: Case) -> Iterator[tuple[str, str, Build]]:
    """(name, the space that it searches, how to build it) of every way."""
    for name, make in _code_indexes(faiss, 8 * case.codes.shape[1], case):
        yield f"codes, {name}", "codes", partial(_binary, faiss, make, case.codes, case.query_codes)
    yield f"codes, {DEPTH} re-ranked by vectors", "vectors", partial(_codes_then_vectors, faiss, case)
    for name, width, make in _vector_indexes(faiss, case):
        yield f"vectors, {name}", "vectors", partial(_floats, faiss, make, case, width)
    yield "vectors, their signs", "vectors", partial(_signs, faiss, case)


def _code_indexes(faiss: Any, width: int, case: Case) -> Iterator[tuple[str, Callable[[], Any]]]:
    def one_table() -> Any:
        index = faiss.IndexBinaryHash(width, min(KEY, width))
        index.nflip = FLIPS
        return index

    def as_in_search(kind: Kind) -> Callable[[], Any]:
        return partial(empty_index, faiss, kind, case.codes)

    yield "flat", as_in_search("flat")
    yield "hash", one_table
    yield "multi-hash", as_in_search("hash")
    yield "IVF", as_in_search("ivf")
    yield "HNSW", as_in_search("hnsw")


def _vector_indexes(faiss: Any, case: Case) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """(name, the width that vectors are filled up to with zeros, how to make it)."""
    width, d = 8 * case.codes.shape[1], case.vectors.shape[1]
    # As many bytes as a code; 256 centroids want 10,000 vectors to learn from.
    bits = 8 if len(case.codes) >= 10_000 else 4
    parts = width // bits
    padded = -(-d // parts) * parts
    yield "flat", d, lambda: faiss.IndexFlatL2(d)
    yield "PQ at the code's bytes", padded, lambda: faiss.IndexPQ(padded, parts, bits)
    opq = f"OPQ{parts},PQ{parts}x{bits}"
    yield "OPQ at the code's bytes", padded, lambda: faiss.index_factory(padded, opq)
    yield "8-bit scalars", d, lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit)


def _binary(
    faiss: Any, make: Callable[[], Any], codes: np.ndarray, queries: np.ndarray
) -> tuple[float, Search]:
    index = make()
    index.add(codes)
    size = len(faiss.serialize_index_binary(index)) / len(codes)
    return size, lambda k: rows_of(index, queries, k)


def _floats(faiss: Any, make: Callable[[], Any], case: Case, width: int) -> tuple[float, Search]:
    ours, theirs = (_wider(side, width) for side in (case.vectors, case.query_vectors))
    index = make()
    index.train(ours)
    index.add(ours)
    return len(faiss.serialize_index(index)) / len(ours), lambda k: rows_of(index, theirs, k)


def _codes_then_vectors(faiss: Any, case: Case) -> tuple[float, Search]:
    index = faiss.IndexBinaryFlat(8 * case.codes.shape[1])
    index.add(case.codes)

    def search(k: int) -> np.ndarray:
        rows = rows_of(index, case.query_codes, DEPTH)
        order = np.argsort(distances(case, rows), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1)

    return case.codes.shape[1] + 4.0 * case.vectors.shape[1], search


def _signs(faiss: Any, case: Case) -> tuple[float, Search]:
    centre = case.vectors.mean(axis=0)
    mine, theirs = (np.packbits(side > centre, axis=1) for side in (case.vectors, case.query_vectors))
    return _binary(faiss, lambda: faiss.IndexBinaryFlat(8 * mine.shape[1]), mine, theirs)


def _wider(vectors: np.ndarray, width: int) -> np.ndarray:
    """Zeros at the end: distances stay."""
    more = width - vectors.shape[1]
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, more)))) if more else vectors


def rows_of(index: Any, queries: np.ndarray, k: int) -> np.ndarray:
    """int64 (queries, k), -1 where an index found fewer."""
    return np.asarray(index.search(queries, min(k, index.ntotal))[1], dtype=np.int64)


def distances(case: Case, rows: np.ndarray) -> np.ndarray:
    """Squared distances of rows to their queries; infinite for -1."""
    far = np.empty(rows.shape, dtype=np.float32)
    for at, some in enumerate(rows):
        gaps = case.vectors[np.maximum(some, 0)] - case.query_vectors[at]
        far[at] = np.einsum("kd,kd->k", gaps, gaps)
    far[rows < 0] = np.inf
    return far
