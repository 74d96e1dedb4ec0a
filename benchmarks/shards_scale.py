"""Seconds and memory of scoring codes on disk, by the number of items.

    python benchmarks/shards_scale.py [--items 1000000,10000000,100000000] [--queries 1000] [--workers 0]

Codes are drawn at random, ten classes, in shards of 10^7 items (10^8: 0.9 GB of disk); mAP over all items,
each size in a process of its own. Memory is the peak above that of the same process before it looks at the shards.
workers: processes in the place of one process with a thread for each core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHARD, CLASSES = 10_000_000, 10
ONE = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from benchmark.metrics import evaluate
from benchmark.sweep.executors import LocalProcesses, Serial
from benchmark.use.shards import open_shards, score_shards
folder, bits, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with np.load(folder / "queries.npz") as file:
    codes, labels = file["codes"], file["labels"]
evaluate(codes, codes, bits, labels, labels, engine="numba", metrics=["map"])  # compiles
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begun, used = peak(), time.perf_counter(), time.process_time()
run = LocalProcesses(workers) if workers else Serial()
found = score_shards(open_shards(folder, bits), codes, labels, run, metrics=["map"], threads=1 if workers else None)
print(json.dumps([found.values["map"], time.perf_counter() - begun, time.process_time() - used, peak() - before]))
"""


def main() -> None:
    """Print a line a size, and what the slope says of 10^9."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", default="1000000,10000000,100000000")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    draw, times = np.random.default_rng(0), {}
    for items in map(int, options.items.split(",")):
        with tempfile.TemporaryDirectory() as root:
            folder, width = Path(root) / "shards", options.bits // 8
            folder.mkdir()
            for number, first in enumerate(range(0, items, SHARD)):
                size = min(SHARD, items - first)
                codes = draw.integers(0, 256, (size, width), dtype=np.uint8)
                np.save(folder / f"codes-{number:03d}.npy", codes)
                np.save(folder / f"labels-{number:03d}.npy", draw.integers(0, CLASSES, size, dtype=np.uint8))
            queries = draw.integers(0, 256, (options.queries, width), dtype=np.uint8)
            labels = draw.integers(0, CLASSES, options.queries)
            np.savez(folder / "queries.npz", codes=queries, labels=labels)
            done = subprocess.run(
                [sys.executable, "-c", ONE, str(folder), str(options.bits), str(options.workers)],
                env={**os.environ, "BENCHMARK_CACHE": root}, check=True, capture_output=True, text=True,
            )  # fmt: skip
            score, took, used, added = json.loads(done.stdout)
        times[items] = took
        print(
            f"{items:>12,} items x {options.queries:,} queries, {options.bits} bits: {took:8.1f} s, "
            f"{used:8.1f} core-s here, {added:5.0f} MiB added, mAP {score:.6f}",
            flush=True,
        )
    if len(times) > 1:
        (small, first), *_, (large, last) = times.items()
        slope = (last - first) / (large - small)
        print(f"{1e9 * slope:,.0f} s of this machine for each 10^9 items, by the slope")


if __name__ == "__main__":
    main()
