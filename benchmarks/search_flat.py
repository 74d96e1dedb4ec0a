"""`search`'s exact index beside faiss called directly, in one process.

python benchmarks/search_flat.py [--items 1000000] [--bits 64] [--queries 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

import faiss
import numpy as np

from benchmark.use.encode import Codes
from benchmark.use.index import Index


def main() -> None:
    """Print both times, medians of turns, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("items", 1_000_000), ("bits", 64), ("queries", 1000), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    sides = [
        draw.integers(0, 256, (count, options.bits // 8), dtype=np.uint8)
        for count in (options.items, options.queries)
    ]
    database, queries = (Codes(codes, None, np.arange(len(codes)), options.bits) for codes in sides)
    ours, direct = Index(database), faiss.IndexBinaryFlat(options.bits)
    direct.add(sides[0])
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(options.repeats):
        begun = time.perf_counter()
        ours.search(queries, 10)
        times[0].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        direct.search(sides[1], 10)
        times[1].append(time.perf_counter() - begun)
    mine, theirs = map(statistics.median, times)
    print(
        f"{options.queries:,} queries, {options.items:,} x {options.bits} bits: search {mine:.3f} s, "
        f"faiss directly {theirs:.3f} s, ratio {mine / theirs:.2f}"
    )


if __name__ == "__main__":
    main()
