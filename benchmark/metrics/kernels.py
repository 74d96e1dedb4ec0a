"""Compiled counting kernels. Imported only when the numba engine is used; compiled once, cached on disk.

Each works on one tile of the database at a time: the distances of a tile go to a small buffer (a
vectorised loop), then into histograms (a scalar loop). Neighbouring items often share a distance, and
incrementing one cell twice in a row waits for the first store, so four histograms take turns.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

TILE = 4096


@intrinsic  # type: ignore[untyped-decorator]
def popcount(typing_context: Any, word: Any) -> Any:
    """Count the ones of a uint64 with LLVM's own instruction, which vectorises."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(function, [arguments[0]])

    return types.uint64(types.uint64), emit


def _compiled(function: Any) -> Any:
    """Compile with a cache on disk, or without one where no cache folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(nogil=True)(function)


@_compiled
def _distances(words: Any, planes: Any, low: int, high: int, out: Any) -> None:
    for w in range(planes.shape[0]):
        word = words[w]
        plane = planes[w, low:high]
        if w == 0:
            for i in range(high - low):
                out[i] = popcount(plane[i] ^ word)
        else:
            for i in range(high - low):
                out[i] += popcount(plane[i] ^ word)


@_compiled
def _levels(words: Any, planes: Any, low: int, high: int, graded: bool, out: Any) -> None:
    for w in range(planes.shape[0]):
        word = words[w]
        plane = planes[w, low:high]
        if graded:
            for i in range(high - low):
                out[i] = popcount(plane[i] & word) + (out[i] if w else 0)
        elif w == 0:
            for i in range(high - low):
                out[i] = 1 if plane[i] & word else 0
        else:
            for i in range(high - low):
                out[i] = 1 if plane[i] & word else out[i]


@_compiled
def _tally(cells: Any, low: int, high: int, hist: Any) -> None:
    # Unsigned indices: with signed ones every access first asks whether it counts from the end.
    one = np.uint32(1)
    first, second, third, fourth = hist[0], hist[1], hist[2], hist[3]
    part = cells[low:high]
    whole = np.uint64(len(part) // 4)
    for j in range(whole):
        i = np.uint64(4) * np.uint64(j)
        first[part[i]] += one
        second[part[i + np.uint64(1)]] += one
        third[part[i + np.uint64(2)]] += one
        fourth[part[i + np.uint64(3)]] += one
    for j in range(np.uint64(4) * whole, np.uint64(len(part))):
        first[part[j]] += one


@_compiled
def count_spans(query_words: Any, planes: Any, spans: Any, cells: Any, out: Any) -> None:
    """Add (all, relevant) counts where rows spans[q, 0]:spans[q, 1] are the relevant ones.

    query_words (q, w), planes (w, n), spans (q, 2), cells: scratch of TILE values, out (q, bits+1, 2).
    """
    items = planes.shape[1]
    bins = out.shape[1]
    other = np.empty((4, bins), np.uint32)
    same = np.empty((4, bins), np.uint32)
    for low in range(0, items, len(cells)):
        high = min(items, low + len(cells))
        for q in range(query_words.shape[0]):
            _distances(query_words[q], planes, low, high, cells)
            first = min(max(spans[q, 0], low), high) - low
            last = min(max(spans[q, 1], low), high) - low
            other[:] = 0
            _tally(cells, 0, first, other)
            _tally(cells, last, high - low, other)
            for d in range(bins):
                out[q, d, 0] += np.int64(other[0, d]) + other[1, d] + other[2, d] + other[3, d]
            if last > first:
                same[:] = 0
                _tally(cells, first, last, same)
                for d in range(bins):
                    out[q, d, 1] += np.int64(same[0, d]) + same[1, d] + same[2, d] + same[3, d]


@_compiled
def count_labels(
    query_words: Any, planes: Any, query_labels: Any, labels: Any, cells: Any, level: Any, out: Any
) -> None:
    """Add counts per (distance, relevance level) for multi-hot labels.

    query_labels (q, lw), labels (lw, n), cells and level: scratch of a tile's length,
    out (q, bits+1, levels).
    """
    items = planes.shape[1]
    levels = out.shape[2]
    size = out.shape[1] * levels
    hist = np.empty((4, size), np.uint32)
    for low in range(0, items, len(cells)):
        high = min(items, low + len(cells))
        for q in range(query_words.shape[0]):
            _distances(query_words[q], planes, low, high, cells)
            _levels(query_labels[q], labels, low, high, levels > 2, level)
            for i in range(high - low):
                cells[i] = cells[i] * levels + level[i]
            hist[:] = 0
            _tally(cells, 0, high - low, hist)
            flat = out[q].reshape(size)
            for c in range(size):
                flat[c] += np.int64(hist[0, c]) + hist[1, c] + hist[2, c] + hist[3, c]


@_compiled
def rank_hits(distance: Any, gain: Any, start: Any, hit_start: Any, rank: Any, hit_gain: Any) -> None:
    """Ranks (from 1) and gains of the relevant items under a stable sort by distance, in rank order.

    distance, gain (n,); start, hit_start (bins,): how many items and hits are strictly closer; both
    are overwritten. rank, hit_gain (hits,): the result.
    """
    for i in range(len(distance)):
        d = distance[i]
        start[d] += 1
        if gain[i] > 0:
            hit = hit_start[d]
            rank[hit] = start[d]
            hit_gain[hit] = gain[i]
            hit_start[d] = hit + 1


@_compiled
def count_cells(distance: Any, gain: Any, out: Any) -> None:
    """Add one to out[distance, gain] for every item."""
    for i in range(len(distance)):
        out[distance[i], gain[i]] += 1
