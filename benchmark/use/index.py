"""Nearest codes: faiss's binary indexes, exact search without faiss, re-ranking by outputs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from benchmark.errors import InputError
from benchmark.use.encode import Codes

Kind = Literal["flat", "hash", "ivf", "hnsw"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: How many of the nearest by Hamming distance are ranked again by outputs, at least and for each one asked for.
_RERANKED, _FOR_EACH = 100, 5
#: Bits of a key of the hash index, its tables at most, and how many bits of a key may differ.
KEY, _TABLES, FLIPS = 16, 4, 1
#: One in so many lists of the IVF index is looked through; links of a node of the HNSW graph.
_PROBED, _LINKS = 8, 16


@dataclass(frozen=True)
class Hits:
    """The nearest of each of m queries: rows int64 (m, top), -1 where an index found fewer, Hamming distances
    int32 (m, top), the seconds it took without encoding.
    """

    rows: np.ndarray
    distances: np.ndarray
    seconds: float


class Index:
    """An index over the codes of a database. Flat is exact; the others trade recall for time.

    Raises InputError for an unknown kind, and for any but `flat` where faiss is not installed.
    """

    def __init__(self, database: Codes, kind: str = "flat") -> None:
        if kind not in KINDS:
            raise InputError(f"unknown index {kind!r}; allowed: {', '.join(KINDS)}")
        self.database, self.kind = database, kind
        faiss = _faiss()
        if faiss is None and kind != "flat":
            raise InputError(f"index {kind!r} needs faiss: pip install 'coophash-benchmark[search]'")
        self._index = _built(faiss, kind, np.ascontiguousarray(database.codes)) if faiss else None

    def search(self, queries: Codes, top: int, *, rerank: bool = False) -> Hits:
        """The `top` nearest of each query by Hamming distance, fewer where the database is smaller.

        Equal distances are in the order of rows; which of them the last places show is faiss's choice.

        rerank: the first of them (5 for each wanted, 100 at least) ordered by the cosine of outputs. Raises
        InputError for codes of other lengths, and for outputs that a side lacks.
        """
        database = self.database
        if queries.bits != database.bits:
            raise InputError(f"queries have {queries.bits} bits, the database {database.bits}")
        if rerank and (queries.outputs is None or database.outputs is None):
            raise InputError("re-ranking needs outputs, which the codes' file lacks")
        begun, top = time.perf_counter(), min(top, len(database.codes))
        count = min(max(_RERANKED, _FOR_EACH * top), len(database.codes)) if rerank else top
        rows, distances = self._nearest(np.ascontiguousarray(queries.codes), count)
        if rerank and queries.outputs is not None and database.outputs is not None:
            rows, distances = _reranked(rows, distances, queries.outputs, database.outputs, top)
        return Hits(rows, distances, time.perf_counter() - begun)

    def _nearest(self, codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        if self._index is None or (self.kind == "flat" and count > 1024):
            found = [_exact(code, self.database.codes, count) for code in codes]
            return np.stack([rows for rows, _ in found]), np.stack([distances for _, distances in found])
        distances, rows = self._index.search(codes, count)
        rows = rows.astype(np.int64)
        # Equal distances by row, what was not found last.
        far = np.where(rows < 0, np.iinfo(np.int32).max, distances)
        order = np.lexsort((rows, far), axis=1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(far, order, 1).astype(np.int32)


def available() -> tuple[Kind, ...]:
    """The kinds that there are here: without faiss the exact one alone."""
    return KINDS if _faiss() is not None else ("flat",)


def write_index(database: Codes, file: Path) -> bool:
    """Write the codes as faiss's exact binary index; False where faiss is not installed."""
    faiss = _faiss()
    if faiss is None:
        return False
    faiss.write_index_binary(_built(faiss, "flat", np.ascontiguousarray(database.codes)), str(file))
    return True


def _exact(code: np.ndarray, codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    distances = np.bitwise_count(codes ^ code).sum(axis=1, dtype=np.int32)
    rows = np.argsort(distances, kind="stable")[:count]
    return rows.astype(np.int64), distances[rows]


def _reranked(
    rows: np.ndarray, distances: np.ndarray, queries: np.ndarray, database: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    candidates = _unit(database[np.maximum(rows, 0)])
    cosines = np.einsum("md,mcd->mc", _unit(queries), candidates)
    cosines[rows < 0] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def _unit(outputs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(outputs, axis=-1, keepdims=True)
    return np.asarray(outputs / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def _built(faiss: Any, kind: str, codes: np.ndarray) -> Any:
    index = empty_index(faiss, kind, codes)
    index.add(codes)
    return index


def empty_index(faiss: Any, kind: str, codes: np.ndarray) -> Any:
    """faiss's index of a kind for packed codes, trained on them where it learns, and empty.

    What `search` builds and `search-cost` measures.
    """
    width = 8 * codes.shape[1]
    if kind == "flat":
        return faiss.IndexBinaryFlat(width)
    if kind == "hash":
        tables = max(1, min(_TABLES, width // KEY))
        index = faiss.IndexBinaryMultiHash(width, tables, min(KEY, width // tables))
        index.nflip = FLIPS
        return index
    if kind == "hnsw":
        return faiss.IndexBinaryHNSW(width, _LINKS)
    lists = max(1, min(4096, round(len(codes) ** 0.5 / 2)))
    coarse = faiss.IndexBinaryFlat(width)
    index = faiss.IndexBinaryIVF(coarse, width, lists)
    index.nprobe = max(1, lists // _PROBED)
    index.cp.min_points_per_centroid = 1
    index.train(codes)
    index._kept = coarse  # faiss does not own it
    return index
