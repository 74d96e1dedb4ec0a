"""Time mAP scoring against what people use, on one thread: `python benchmarks/scoring.py`.

Prints a Markdown table of seconds, ratio and added memory. Each rival gets codes in the form it likes
best (faiss: packed and already in its index) while ours starts from -1/+1 integers and packs them. A
row marked with a star was timed on fewer queries and scaled; all work is linear in the queries.
Times are processor seconds of one thread, the best of a few rounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scoring_rivals import RIVALS, comparable, faiss_index, faiss_search
from threadpoolctl import threadpool_limits

from benchmark.metrics import mean_average_precision, pack_codes


@dataclass(frozen=True)
class Case:
    """One size: `labels` is the number of classes, or of columns if `multi`."""

    queries: int
    items: int
    labels: int
    k: int | None = None
    multi: bool = False

    @property
    def title(self) -> str:
        kind = f"{self.labels} labels" if self.multi else f"{self.labels} classes"
        return f"{self.queries:,} x {self.items:,}, {kind}, mAP@{self.k or 'all'}"


CASES = (
    Case(1_000, 59_000, 10),
    Case(10_000, 50_000, 10),
    Case(5_000, 117_218, 80, k=5_000, multi=True),
)
LARGE = Case(10_000, 1_000_000, 10)


def make(case: Case, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Class-centred codes with a fifth of the bits flipped, as -1/+1 int8; labels to match."""
    rng = np.random.default_rng(0)
    centres = rng.random((case.labels, bits)) < 0.5
    sides = []
    for size in (case.queries, case.items):
        classes = rng.integers(0, case.labels, size)
        flips = rng.random((size, bits), dtype=np.float32) < 0.2
        codes = ((centres[classes] ^ flips).astype(np.int8) * 2 - 1).astype(np.int8)
        labels = classes
        if case.multi:
            labels = (rng.random((size, case.labels), dtype=np.float32) < 0.03).astype(np.uint8)
            labels[np.arange(size), classes] = 1
        sides.append((codes, labels))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


class Peak:
    """Memory that a call adds, in MB: the larger of two views, neither of which sees everything.

    tracemalloc follows what numpy allocates, memory taken over from an earlier call included; the
    resident set, sampled from /proc every millisecond, follows what compiled libraries allocate.
    """

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")

    def _resident(self) -> int:
        try:
            return int(Path("/proc/self/statm").read_text().split()[1]) * self._page
        except OSError:
            return 0

    def __call__(self, function: Callable[[], object]) -> float:
        stop, highest = threading.Event(), self._resident()
        before = highest

        def watch() -> None:
            nonlocal highest
            while not stop.wait(0.001):
                highest = max(highest, self._resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        tracemalloc.start()
        function()
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        stop.set()
        watcher.join()
        return max(traced, highest - before) / 1e6


def timed(function: Callable[[], object], rounds: int) -> float:
    """The best of some rounds, in seconds of processor time: other programs' load does not count."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def rows_of(case: Case, bits: int, rounds: int, rivals: bool) -> list[tuple[str, float, float, float]]:
    """(who, seconds, added MB, value) for one case; ours first."""
    queries, items, query_labels, item_labels = make(case, bits)
    rows = []
    for engine in ("numba", "numpy") if rivals else ("numba",):

        def ours(engine: str = engine) -> float:
            return mean_average_precision(
                queries, items, query_labels, item_labels, k=case.k, engine=engine, threads=1
            )

        few = queries[:2], items[:100], query_labels[:2], item_labels[:100]
        mean_average_precision(*few, engine=engine)  # compiled or loaded from the cache
        rows.append((f"benchmark.metrics, {engine}", timed(ours, rounds), Peak()(ours), ours()))
    if not rivals:
        return rows
    packed = pack_codes(queries)
    index = faiss_index(pack_codes(items), bits)
    limit = case.k or case.items
    share = min(case.queries, 1_000)
    scale = case.queries / share
    seconds = scale * timed(lambda: faiss_search(index, packed[:share], limit), rounds)
    added = Peak()(lambda: faiss_search(index, packed[:200], limit))
    rows.append((f"faiss, search alone{'*' if scale > 1 else ''}", seconds, added, float("nan")))
    for rival in RIVALS:
        share = min(case.queries, rival.queries)
        scale = case.queries / share
        arrays = (queries[:share], items, query_labels[:share], item_labels)

        def theirs(run: Callable[..., float] = rival.run, arrays: tuple = arrays) -> float:
            return run(*arrays, k=case.k, index=index)

        value = theirs()
        seconds = scale * timed(theirs, 1 if scale > 1 else rounds)
        shown = comparable(value, scale)
        rows.append((f"{rival.name}{'*' if scale > 1 else ''}", seconds, Peak()(theirs), shown))
    return rows


def hardware() -> str:
    """Processor and memory, in words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def commit() -> str:
    """The commit of the working tree."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--large", action="store_true", help="10,000 x 1,000,000 as well")
    parser.add_argument("--only", type=int, choices=range(1, 5), help="one size, by its place in the list")
    parser.add_argument("--quick", action="store_true", help="a tenth of the queries and items")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"command: python benchmarks/scoring.py {' '.join(sys.argv[1:])}".rstrip())
    print(f"hardware: {hardware()}; one thread (threadpoolctl, faiss.omp_set_num_threads(1), threads=1)")
    print(f"versions: Python {platform.python_version()}, numpy {np.__version__}; commit {commit()}")
    cases = (*CASES, LARGE) if options.large else CASES
    for case in cases if options.only is None else [(*CASES, LARGE)[options.only - 1]]:
        if options.quick:
            case = Case(
                case.queries // 10, case.items // 10, case.labels, case.k and case.k // 10, case.multi
            )
        rows = rows_of(case, options.bits, options.rounds, rivals=case.items < LARGE.items // 10 * 9)
        pairs = case.queries * case.items
        print(f"\n{case.title}, {options.bits} bits\n\n| | seconds | times ours | added MB | value |")
        print("|---|--:|--:|--:|--:|")
        for name, seconds, added, value in rows:
            shown = "" if value != value else f"{value:.6f}"
            print(f"| {name} | {seconds:.3f} | {seconds / rows[0][1]:.1f} | {added:.0f} | {shown} |")
        print(f"\nours: {pairs / rows[0][1] / 1e9:.2f} billion pairs a second")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
