"""The counting engines: one table of counts per query, distance and relevance level, three ways.

All return exactly the same integers. `numpy` needs nothing else, `numba` is compiled and the fastest
on a processor, `torch` counts on a GPU (or, when forced, on the processor).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.metrics.problem import Hist, Problem

ENGINES = ("auto", "numpy", "numba", "torch")
Counter = Callable[[Problem, int, int], Hist]

_COMPILED = "benchmark.metrics.kernels"
_WORTH_LOADING = 200_000_000  # pairs for which numpy takes longer than loading the compiled kernels
_WORTH_A_GPU = 2_000_000_000  # pairs for which moving the codes to a GPU pays
_WORTH_A_THREAD = 4_000_000  # pairs that take longer than starting a thread for them
_CHUNK = 1 << 14  # database rows that numpy handles at a time: the temporaries stay in the cache


def choose_engine(engine: str, pairs: int, device: str | None = None) -> str:
    """The engine to use for a number of (query, item) pairs; InputError for an unknown name.

    device: where torch may count; one that is no GPU leaves `auto` to the processor's engines.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}; allowed: {', '.join(ENGINES)}")
    if engine != "auto":
        return engine
    torch = sys.modules.get("torch")  # never import torch just to ask
    wanted = pairs >= _WORTH_A_GPU and (device or "cuda").startswith("cuda")
    if wanted and torch is not None and torch.cuda.is_available():
        return "torch"
    return "numba" if pairs >= _WORTH_LOADING or _COMPILED in sys.modules else "numpy"


def thread_count(threads: int | None) -> int:
    """`threads`, or every core that this process may use; InputError below 1."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads is {threads!r}; it must be a whole number of 1 or more")
    return threads


def count(problem: Problem, low: int, high: int, engine: str, threads: int, device: str | None) -> Hist:
    """Counts of shape (high - low, bits + 1, levels) for queries low:high, excluded pairs taken out."""
    if engine == "torch":
        from benchmark.metrics.torch_engine import count_torch

        hist = count_torch(problem, low, high, device)
    elif engine == "numba":
        hist = _in_threads(_count_numba, problem, low, high, threads)
    else:
        hist = _count_numpy(problem, low, high)  # one thread: counting in bins keeps the interpreter's lock
    owners, rows = problem.excluded
    for at in range(*np.searchsorted(owners, [low, high])):
        query, row = int(owners[at]), rows[at : at + 1]
        hist[query - low, problem.distances(query, row)[0], problem.gains(query, row)[0]] -= 1
    if problem.neighbours is not None:
        for query in range(low, high):
            rows = problem.neighbours.of(query)
            found = np.bincount(problem.distances(query, rows), minlength=problem.bits + 1)
            hist[query - low] += np.stack([-found, found], axis=1)
    return hist


def _in_threads(counter: Counter, problem: Problem, low: int, high: int, threads: int) -> Hist:
    threads = min(threads, high - low, (high - low) * problem.items // _WORTH_A_THREAD)
    if threads <= 1:
        return counter(problem, low, high)
    edges = np.linspace(low, high, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:  # the kernels release the interpreter's lock
        parts = pool.map(lambda span: counter(problem, *span), zip(edges[:-1].tolist(), edges[1:].tolist()))
        return np.concatenate(list(parts))


def _count_numpy(problem: Problem, low: int, high: int) -> Hist:
    together = _CHUNK // problem.items
    if together > 1:
        blocks = [(at, min(at + together, high)) for at in range(low, high, together)]
        return np.concatenate([_count_block(problem, *block) for block in blocks])
    bins, levels = problem.bits + 1, problem.levels
    hist = np.zeros((high - low, bins * levels), dtype=np.int64)
    for query in range(low, high):
        for start in range(0, problem.items, _CHUNK):
            stop = min(start + _CHUNK, problem.items)
            rows = slice(start, stop)
            distance = problem.distances(query, rows)
            if problem.by_class:
                first, last = np.clip(problem.spans[query], start, stop) - start
                every = np.bincount(distance, minlength=bins)
                same = np.bincount(distance[first:last], minlength=bins)
                hist[query - low, 0::2] += every - same
                hist[query - low, 1::2] += same
            else:
                cells = distance.astype(np.intp) * levels + problem.gains(query, rows)
                hist[query - low] += np.bincount(cells, minlength=bins * levels)
    return hist.reshape(high - low, bins, levels)


def _count_block(problem: Problem, low: int, high: int) -> Hist:
    """Several queries against a small database at once: one by one, each would cost more than its pairs."""
    bins, levels, queries = problem.bits + 1, problem.levels, high - low
    some = slice(low, high)
    cells = problem.distances(some).astype(np.intp) * levels + problem.gains(some)
    cells += np.arange(queries)[:, None] * (bins * levels)
    return np.bincount(cells.ravel(), minlength=queries * bins * levels).reshape(queries, bins, levels)


def load_kernels() -> Any:
    """The compiled kernels, with a cache folder that can be written."""
    if _COMPILED not in sys.modules:
        _find_cache_folder()
    from benchmark.metrics import kernels

    return kernels


def _find_cache_folder() -> None:
    """Point numba at the user's cache folder where the package itself cannot be written."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(os.path.dirname(__file__), os.W_OK):
        return
    import numba
    import platformdirs

    numba.config.CACHE_DIR = platformdirs.user_cache_dir("coophash-benchmark")


def _count_numba(problem: Problem, low: int, high: int) -> Hist:
    kernels = load_kernels()
    hist = np.zeros((high - low, problem.bits + 1, problem.levels), dtype=np.int64)
    size = hist.shape[1] * hist.shape[2]
    # A wide table is cleared and added up once a tile, so a tile must not be smaller than the table.
    cells = np.empty(max(kernels.TILE, 4 * size), dtype=np.uint16 if size < 2**16 else np.uint32)
    words = problem.query_words[low:high]
    if problem.by_class:
        kernels.count_spans(words, problem.planes, problem.spans[low:high], cells, hist)
    elif problem.labels.planes is not None:
        wanted = problem.query_label_words()[low:high]
        kernels.count_labels(
            words, problem.planes, wanted, problem.labels.planes, cells, np.empty_like(cells), hist
        )
    else:
        return _count_numpy(problem, low, high)
    return hist
