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
from benchmark.use.search_ways import DEPTH, NEAREST, Case, distances, rows_of, ways


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
    for name, space, build in ways(faiss, case):
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


class _Truth:
    """The distance of each query's exact tenth neighbour in both spaces, and what is relevant."""

    def __init__(self, faiss: Any, case: Case) -> None:
        self._case, k = case, min(NEAREST, len(case.codes))
        exact = faiss.IndexBinaryFlat(8 * case.codes.shape[1])
        exact.add(case.codes)
        self._k, self._codes = k, exact.search(case.query_codes, k)[0][:, -1]
        plain = faiss.IndexFlatL2(case.vectors.shape[1])
        plain.add(case.vectors)
        self._vectors = distances(case, rows_of(plain, case.query_vectors, k)).max(axis=1)

    def recall(self, space: str, rows: np.ndarray) -> float:
        some = rows[:, : self._k]
        if space == "codes":
            codes = self._case.codes[np.maximum(some, 0)] ^ self._case.query_codes[:, None]
            near = np.bitwise_count(codes).sum(axis=2, dtype=np.int64) <= self._codes[:, None]
        else:
            near = distances(self._case, some) <= self._vectors[:, None] * (1 + 1e-5)
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
