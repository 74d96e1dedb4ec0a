"""Metrics from an order: the ranks and gains of the relevant items of one query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.engines import load_kernels
from benchmark.metrics.problem import Problem
from benchmark.metrics.ties import Floats


@dataclass(frozen=True)
class Hits:
    """The relevant items of one ranking: ranks (from 1, ascending), their gains, and the ranking's length."""

    ranks: NDArray[np.int64]
    gains: NDArray[np.int64]
    items: int


def hits_of_order(gains_in_order: NDArray[np.generic]) -> Hits:
    """Hits of a ranking given as the gain of the item at each rank."""
    where = np.flatnonzero(gains_in_order)
    return Hits(where + 1, gains_in_order[where].astype(np.int64), len(gains_in_order))


def rank_query(problem: Problem, query: int, engine: str) -> tuple[NDArray[np.int64], Hits]:
    """Counts (bits + 1, levels) and hits of one query under a stable sort by Hamming distance."""
    distance, gain = problem.distances(query), problem.gains(query)
    if problem.neighbours is not None:
        gain[problem.neighbours.of(query)] = 1
    absent = problem.excluded_rows(query)
    if len(absent):
        distance, gain = np.delete(distance, absent), np.delete(gain, absent)
    bins = problem.bits + 1
    if engine != "numba":
        cells = distance.astype(np.intp) * problem.levels + gain
        hist = np.bincount(cells, minlength=bins * problem.levels).reshape(bins, problem.levels)
        return hist, hits_of_order(gain[np.argsort(distance, kind="stable")])
    kernels = load_kernels()
    hist = np.zeros((bins, problem.levels), dtype=np.int64)
    kernels.count_cells(distance, gain, hist)
    size, relevant = hist.sum(axis=1), hist[:, 1:].sum(axis=1)
    found = int(relevant.sum())
    ranks, gains = np.empty(found, dtype=np.int64), np.empty(found, dtype=np.int64)
    starts, firsts = np.cumsum(size) - size, np.cumsum(relevant) - relevant
    kernels.rank_hits(distance, gain, starts, firsts, ranks, gains)
    return hist, Hits(ranks, gains, len(distance))


def precision_sum(hits: Hits, k: int | None, weighted: bool = False) -> tuple[float, int]:
    """The sum of precision (of mean gain, if weighted) over the hits inside k, and how many there are."""
    inside = len(hits.ranks) if k is None else int(np.searchsorted(hits.ranks, k, side="right"))
    ranks = hits.ranks[:inside]
    so_far = np.cumsum(hits.gains[:inside]) if weighted else np.arange(1, inside + 1)
    return float((so_far / ranks).sum()), inside


def ordered_average_precision(
    hits: Hits, k: int | None, normaliser: str, weighted: bool = False
) -> tuple[float, bool]:
    """Average precision (WAP, if weighted) and whether there is a hit; without one it is 0."""
    total, inside = precision_sum(hits, k, weighted)
    below = len(hits.ranks) if normaliser == "all-relevant" else inside
    return (total / below, True) if below else (0.0, False)


def ordered_found(hits: Hits, cutoffs: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """As `groups.found_at`, for one query: arrays of shape (m,)."""
    taken = np.minimum(cutoffs, hits.items).astype(np.float64)
    found = np.searchsorted(hits.ranks, cutoffs, side="right").astype(np.float64)
    return taken, found, (found > 0).astype(np.float64)


def ordered_gain(hits: Hits, k: int | None, gains: Floats, discounted: bool) -> float:
    """Sum of the levels' gains in the first k places, each divided by log2(1 + rank) if discounted."""
    _, inside = precision_sum(hits, k)
    values = gains[hits.gains[:inside]]
    return float((values / np.log2(1.0 + hits.ranks[:inside])).sum() if discounted else values.sum())
