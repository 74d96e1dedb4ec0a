"""What search costs: binary indexes over codes beside what a user would take instead, measured in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.fit.environment import processor
from benchmark.fit.randomness import isolated_generators
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import open_fit
from benchmark.fit.view_job import load_state
from benchmark.metrics.engines import thread_count
from benchmark.registry.contained import contained
from benchmark.spec.weights import task_file
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.store.weights_used import weights_used

#: Neighbours that are compared with the exact ones, and items whose order is scored.
NEAREST, DEPTH = 10, 100
_KEY = 16  # bits of a hash index's key


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


@dataclass(frozen=True)
class Cost:
    """One way to search.

    bytes: of the index, an item. per_second: queries a second for the nearest ten, with one thread and with all;
    per_second_deep: for the nearest hundred, which some indexes search more widely, one thread. recall: the share
    of the exact `NEAREST` that it finds, by distance in the space that it searches: an item as near as the last
    exact one counts. map: mean average precision of the first `DEPTH` in the order that it gives them, by what they
    hold; None without labels.
    """

    name: str
    space: str
    bytes: float
    build_seconds: float
    per_second: float
    per_second_all: float
    per_second_deep: float
    recall: float
    map: float | None


def measure(case: Case, repeats: int = 3, tell: Callable[[str], None] = lambda name: None) -> dict[str, Any]:
    """Every way after the other; times are medians of `repeats`. JSON-ready, with what it was measured on.

    Raises InputError where faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError("search-cost needs faiss: pip install 'coophash-benchmark[search]'") from None
    truth = _Truth(faiss, case)
    found = []
    for name, space, build in _ways(faiss, case):
        tell(name)
        begun = time.perf_counter()
        size, search = build()
        built = time.perf_counter() - begun
        near, deep = search(NEAREST), search(DEPTH)
        one, every, wide = (
            _per_second(faiss, search, len(near), k, threads, repeats)
            for k, threads in ((NEAREST, 1), (NEAREST, thread_count(None)), (DEPTH, 1))
        )
        cost = Cost(
            name, space, size, built, one, every, wide, truth.recall(space, near), truth.precision(deep)
        )
        found.append(asdict(cost))
    return {
        "bits": case.bits,
        "items": len(case.codes),
        "queries": len(case.query_codes),
        "vectors": case.what,
        "dimensions": case.vectors.shape[1],
        "threads": thread_count(None),
        "processor": processor(),
        "faiss": faiss.__version__,
        "repeats": repeats,
        "rows": found,
    }


def _per_second(
    faiss: Any, search: Callable[[int], np.ndarray], queries: int, k: int, threads: int, repeats: int
) -> float:
    faiss.omp_set_num_threads(threads)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        search(k)
        times.append(time.perf_counter() - begun)
    faiss.omp_set_num_threads(thread_count(None))
    return queries / max(statistics.median(times), 1e-9)


_Built = tuple[float, Callable[[int], np.ndarray]]


def _ways(faiss: Any, case: Case) -> list[tuple[str, str, Callable[[], _Built]]]:
    """(name, the space that it searches, how to build it), each giving bytes an item and a search for k rows."""
    width, n, d = 8 * case.codes.shape[1], len(case.codes), case.vectors.shape[1]
    # As many bytes as a code; 256 centroids want 10,000 vectors to learn from.
    bits = 8 if n >= 10_000 else 4
    parts = width // bits
    padded = -(-d // parts) * parts

    def binary(make: Callable[[], Any]) -> Callable[[], _Built]:
        def build() -> _Built:
            index = make()
            index.add(case.codes)
            return _size(faiss.serialize_index_binary(index), n), lambda k: _rows(index, case.query_codes, k)

        return build

    def floats(make: Callable[[], Any], wide: bool = False) -> Callable[[], _Built]:
        def build() -> _Built:
            ours, theirs = (
                _wider(side, padded) if wide else side for side in (case.vectors, case.query_vectors)
            )
            index = make()
            index.train(ours)
            index.add(ours)
            return _size(faiss.serialize_index(index), n), lambda k: _rows(index, theirs, k)

        return build

    def ivf() -> Any:
        lists = max(1, min(4096, round(n**0.5 / 2)))
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(width), width, lists)
        index.own_fields, index.nprobe, index.cp.min_points_per_centroid = False, max(1, lists // 8), 1
        index.train(case.codes)
        return index

    def hashed(tables: int) -> Any:
        key = min(_KEY, width // tables)
        index = (
            faiss.IndexBinaryHash(width, key)
            if tables == 1
            else faiss.IndexBinaryMultiHash(width, tables, key)
        )
        index.nflip = 1
        return index

    def reranked() -> _Built:
        index = faiss.IndexBinaryFlat(width)
        index.add(case.codes)
        return width / 8 + 4.0 * d, lambda k: _reranked(case, _rows(index, case.query_codes, DEPTH), k)

    def signs() -> _Built:
        centre = case.vectors.mean(axis=0)
        mine, theirs = (np.packbits(side > centre, axis=1) for side in (case.vectors, case.query_vectors))
        index = faiss.IndexBinaryFlat(8 * mine.shape[1])
        index.add(mine)
        return _size(faiss.serialize_index_binary(index), n), lambda k: _rows(index, theirs, k)

    return [
        ("codes, flat", "codes", binary(lambda: faiss.IndexBinaryFlat(width))),
        ("codes, hash", "codes", binary(lambda: hashed(1))),
        ("codes, multi-hash", "codes", binary(lambda: hashed(max(2, min(4, width // _KEY))))),
        ("codes, IVF", "codes", binary(ivf)),
        ("codes, HNSW", "codes", binary(lambda: faiss.IndexBinaryHNSW(width, 16))),
        (f"codes, {DEPTH} re-ranked by vectors", "vectors", reranked),
        ("vectors, flat", "vectors", floats(lambda: faiss.IndexFlatL2(d))),
        (
            "vectors, PQ at the code's bytes",
            "vectors",
            floats(lambda: faiss.IndexPQ(padded, parts, bits), True),
        ),
        (
            "vectors, OPQ at the code's bytes",
            "vectors",
            floats(lambda: faiss.index_factory(padded, f"OPQ{parts},PQ{parts}x{bits}"), True),
        ),
        (
            "vectors, 8-bit scalars",
            "vectors",
            floats(lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit)),
        ),
        ("vectors, their signs", "vectors", signs),
    ]


def _size(serialised: np.ndarray, items: int) -> float:
    return len(serialised) / items


def _wider(vectors: np.ndarray, width: int) -> np.ndarray:
    """Zeros at the end: distances stay."""
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, width - vectors.shape[1]))))


def _rows(index: Any, queries: np.ndarray, k: int) -> np.ndarray:
    """int64 (queries, k), -1 where an index found fewer."""
    return np.asarray(index.search(queries, min(k, index.ntotal))[1], dtype=np.int64)


def _reranked(case: Case, rows: np.ndarray, k: int) -> np.ndarray:
    far = _far(case, rows)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, 1)


def _far(case: Case, rows: np.ndarray) -> np.ndarray:
    """Squared distances of rows to their queries; infinite for -1."""
    far = np.empty(rows.shape, dtype=np.float32)
    for at, some in enumerate(rows):
        gaps = case.vectors[np.maximum(some, 0)] - case.query_vectors[at]
        far[at] = np.einsum("kd,kd->k", gaps, gaps)
    far[rows < 0] = np.inf
    return far


class _Truth:
    """The distance of each query's exact tenth neighbour in both spaces, and what is relevant."""

    def __init__(self, faiss: Any, case: Case) -> None:
        self._case, k = case, min(NEAREST, len(case.codes))
        exact = faiss.IndexBinaryFlat(8 * case.codes.shape[1])
        exact.add(case.codes)
        self._k, self._codes = k, exact.search(case.query_codes, k)[0][:, -1]
        plain = faiss.IndexFlatL2(case.vectors.shape[1])
        plain.add(case.vectors)
        self._vectors = _far(case, _rows(plain, case.query_vectors, k)).max(axis=1)

    def recall(self, space: str, rows: np.ndarray) -> float:
        some = rows[:, : self._k]
        if space == "codes":
            codes = self._case.codes[np.maximum(some, 0)] ^ self._case.query_codes[:, None]
            near = np.bitwise_count(codes).sum(axis=2, dtype=np.int64) <= self._codes[:, None]
        else:
            near = _far(self._case, some) <= self._vectors[:, None] * (1 + 1e-5)
        return float((near & (some >= 0)).mean())

    def precision(self, rows: np.ndarray) -> float | None:
        if self._case.labels is None or self._case.query_labels is None:
            return None
        scores = []
        for at, some in enumerate(rows):
            shared = self._case.labels[np.maximum(some, 0)] @ self._case.query_labels[at]
            hits = (shared > 0) & (some >= 0)
            ranks = np.flatnonzero(hits) + 1
            scores.append(float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0)
        return float(np.mean(scores))


def case_of(store: Store, record: Record, data: LoadedDataset, weights_file: str = "") -> Case:
    """A finished fit's codes, as they were scored, beside what it learnt from.

    That is a vector set's vectors, a frozen backbone's features, else the fit's own outputs. Raises
    InputError where the codes or the weights were not kept.
    """
    spec, stored = record.spec, store.codes(record.spec)
    if "database_codes" not in stored:
        raise InputError(
            f"the codes of {spec.label} ({record.fit_id}) were not kept: nothing can be searched"
        )
    file = task_file(weights_used(store, record, weights_file) or "none")
    opened = open_fit(spec, data, Runtime(weights_file=file))
    rows = [stored[f"{side}_ids"].astype(np.int64) for side in ("database", "query")]
    if opened.evaluator.data.info.inputs == "vectors":
        what = "frozen features" if spec.frozen else "the data set's vectors"
        vectors = [
            np.ascontiguousarray(opened.evaluator.data.images[part], dtype=np.float32) for part in rows
        ]
    else:
        what = "the fit's outputs"
        with isolated_generators("cpu"), contained():
            load_state(opened.method, store, spec, opened.ctx)
            vectors = [opened.evaluator.encode(opened.method, part)[0] for part in rows]
    labels = [data.labels[part].astype(np.uint8) if len(data.labels) else None for part in rows]
    return Case(
        spec.bits,
        stored["database_codes"],
        stored["query_codes"],
        vectors[0],
        vectors[1],
        what,
        labels[0],
        labels[1],
    )


def drawn(items: int, bits: int, queries: int = 1000, dimensions: int = 128, seed: int = 0) -> Case:
    """Vectors around a thousand centres, and codes by the signs of a random projection."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(1000, dimensions)).astype(np.float32)
    which = draw.integers(0, 1000, items + queries)
    vectors = centres[which] + draw.normal(size=(items + queries, dimensions)).astype(np.float32)
    codes = np.packbits(vectors @ draw.normal(size=(dimensions, bits)).astype(np.float32) >= 0, axis=1)
    labels = ((which // 100)[:, None] == np.arange(10)).astype(np.uint8)
    mine, theirs = slice(queries, None), slice(None, queries)
    return Case(
        bits,
        np.ascontiguousarray(codes[mine]),
        np.ascontiguousarray(codes[theirs]),
        np.ascontiguousarray(vectors[mine]),
        np.ascontiguousarray(vectors[theirs]),
        f"{dimensions} drawn numbers",
        labels[mine],
        labels[theirs],
    )
