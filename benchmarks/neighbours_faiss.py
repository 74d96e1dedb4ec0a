"""The true neighbours of the protocols `neighbours-K` beside faiss's exact search: the same sets, and the time.

    pip install faiss-cpu
    python benchmarks/neighbours_faiss.py --items 100000 --width 128 --queries 1000 -k 100

Sets may differ where single precision, in which faiss computes, cannot tell two items apart: such queries are
counted, and their differing items must be equally near to within that precision.
"""

from __future__ import annotations

import argparse
import time

import faiss
import numpy as np

from benchmark.fit.neighbours import nearest


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("-k", type=int, default=100)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((args.queries + args.items, args.width), dtype=np.float32)
    query, database = np.arange(args.queries), np.arange(args.queries, len(vectors))
    for how, index in (
        ("euclidean", faiss.IndexFlatL2(args.width)),
        ("cosine", faiss.IndexFlatIP(args.width)),
        ("ip", faiss.IndexFlatIP(args.width)),
    ):
        given = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if how == "cosine" else vectors
        begun = time.perf_counter()
        index.add(given[database])
        _, theirs = index.search(given[query], args.k)
        middle = time.perf_counter()
        mine = nearest(vectors, query, database, args.k, how)
        ended = time.perf_counter()
        sets = [(set(mine.of(row).tolist()), set(theirs[row].tolist())) for row in range(args.queries)]
        other = [row for row, (one, two) in enumerate(sets) if one != two]
        hits = sum(len(one & two) for one, two in sets)
        print(
            f"{how}: {args.queries - len(other):,} of {args.queries:,} sets equal, {hits:,} of "
            f"{args.queries * args.k:,} neighbours shared; faiss {middle - begun:.1f} s, "
            f"here {ended - middle:.1f} s"
        )
        for row in other:
            x = given[database[sorted(sets[row][0] ^ sets[row][1])]].astype(np.float64)
            q = given[row].astype(np.float64)
            far = ((x - q) ** 2).sum(axis=1) if how == "euclidean" else -(x * q).sum(axis=1)
            assert np.ptp(far) < 1e-5 * max(1.0, np.abs(far).max()), (row, far)


if __name__ == "__main__":
    main()
