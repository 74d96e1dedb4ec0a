"""Metrics from counts: a ranking as a row of tie groups, walked from the nearest to the farthest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.problem import Hist
from benchmark.metrics.ties import (
    CutTie,
    Floats,
    expected_ratio,
    miss_probability,
    precision_sum,
    reciprocal_sum,
)

Mask = NDArray[np.bool_]


def _before(values: Floats) -> Floats:
    """The sum of everything left of each column."""
    return np.cumsum(values, axis=1) - values


@dataclass(frozen=True)
class Groups:
    """Tie groups of a block of queries, each array of shape (queries, groups), nearest first.

    size: items; hits: relevant items; gain: sum of gains. Whole numbers in float64 (exact to 2^53).
    """

    size: Floats
    hits: Floats
    gain: Floats

    @property
    def items(self) -> Floats:
        """Items in each query's ranking."""
        return np.asarray(self.size.sum(axis=1), dtype=np.float64)

    @property
    def relevant(self) -> Floats:
        """Relevant items in each query's ranking."""
        return np.asarray(self.hits.sum(axis=1), dtype=np.float64)


def tie_groups(hist: Hist, ties: str, gains: Floats | None = None) -> Groups:
    """Groups from counts (queries, distances, levels) under `expected`, `optimistic` or `pessimistic`.

    gains: the gain of each level; None is 0 and then 1. The two extreme orders are the mean order of
    finer groups: one per distance and level, the best level first or last.
    """
    queries, distances, levels = hist.shape
    table = np.minimum(np.arange(levels), 1.0) if gains is None else gains
    if ties == "expected":
        size = hist.sum(axis=2).astype(np.float64)
        hits = size - hist[:, :, 0]
        gain = hits if gains is None else np.asarray(hist @ table, dtype=np.float64)
        return Groups(size, hits, gain)
    order = np.arange(levels)[:: -1 if ties == "optimistic" else 1]
    size = hist[:, :, order].reshape(queries, -1).astype(np.float64)
    level = np.tile(order, distances)
    return Groups(size, size * (level > 0), size * table[level])


def average_precision(groups: Groups, k: int | Floats | None, normaliser: str) -> tuple[Floats, Mask]:
    """(weighted) average precision of each query and whether it can have a hit; without one it is 0.

    k: one cut-off, or one a query (queries,).
    With gain = hits this is average precision; with graded gains it is WAP. Exact means over all
    orders inside the groups. Inside a whole group, hit by hit, E[hit at t] = h/n and
    E[hit at t, gain at an earlier place] = g (h - 1) / (n (n - 1)).
    """
    relevant = groups.relevant
    limit = groups.items if k is None else np.minimum(groups.items, k)
    n0, h0, g0 = _before(groups.size), _before(groups.hits), _before(groups.gain)
    whole = (n0 + groups.size <= limit[:, None]) & (groups.hits > 0)
    total = np.zeros(groups.size.shape)
    n, h, g = groups.size[whole], groups.hits[whole], groups.gain[whole]
    total[whole] = group_sum(n, h, g, n0[whole], g0[whole])
    base = total.sum(axis=1)
    cut = _cut_group(groups, limit, n0)
    if normaliser == "all-relevant":
        base[cut.rows] += group_sum(cut.n, cut.h, cut.g, n0[cut.at], g0[cut.at], cut.drawn)
        return np.divide(base, relevant, out=np.zeros_like(base), where=relevant > 0), relevant > 0
    inside = np.where(n0 + groups.size <= limit[:, None], groups.hits, 0.0).sum(axis=1)
    values = np.divide(base, inside, out=np.zeros_like(base), where=inside > 0)
    possible = inside > 0
    if len(cut.rows):
        values[cut.rows] = expected_ratio(
            CutTie(base[cut.rows], cut.g / cut.h, g0[cut.at], h0[cut.at], n0[cut.at], cut.n, cut.h, cut.drawn)
        )
        possible[cut.rows] = True
    return values, possible


def group_sum(n: Floats, h: Floats, g: Floats, n0: Floats, g0: Floats, drawn: Floats | None = None) -> Floats:
    """Expected sum of hit times gain so far / rank over the first `drawn` places of a group (or all)."""
    drawn = n if drawn is None else drawn
    gain = g / h  # the mean gain of a hit
    near = reciprocal_sum(n0, n0 + drawn)
    pair = gain * (h - 1) / np.maximum(n - 1, 1)
    return precision_sum(h / n, pair, g0 + gain, n0 + 1, drawn, near)


@dataclass(frozen=True)
class _Cut:
    """The groups that k cuts and that hold a hit: their index, their counts, and the places inside k."""

    at: tuple[NDArray[np.intp], ...]
    n: Floats
    h: Floats
    g: Floats
    drawn: Floats

    @property
    def rows(self) -> NDArray[np.intp]:
        return self.at[0]


def _cut_group(groups: Groups, limit: Floats, n0: Floats) -> _Cut:
    wanted = limit[:, None]
    at = np.nonzero((n0 < wanted) & (n0 + groups.size > wanted) & (groups.hits > 0))
    drawn = limit[at[0]] - n0[at]
    return _Cut(at, groups.size[at], groups.hits[at], groups.gain[at], drawn)


def found_at(groups: Groups, cutoffs: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Items taken, expected hits among them, and the probability of any hit, for each cut-off.

    cutoffs (m,), each 1 or more -> three arrays (queries, m). A cut-off beyond the ranking takes it all.
    """
    ends, hits = np.cumsum(groups.size, axis=1), np.cumsum(groups.hits, axis=1)
    taken = np.minimum(cutoffs[None, :], groups.items[:, None])
    stride = float(groups.items.max(initial=0.0)) + 1
    rows = np.arange(len(ends))[:, None]
    flat = np.searchsorted((ends + rows * stride).ravel(), (taken + rows * stride).ravel())
    flat = np.minimum(flat.reshape(taken.shape), (rows + 1) * ends.shape[1] - 1)
    n, h = groups.size.ravel()[flat], groups.hits.ravel()[flat]
    h0 = hits.ravel()[flat] - h
    drawn = taken - (ends.ravel()[flat] - n)
    found = h0 + np.divide(h * drawn, n, out=np.zeros_like(h), where=n > 0)
    chance = (h0 > 0).astype(np.float64)
    unsure = np.nonzero((h0 == 0) & (h > 0))
    chance[unsure] = 1 - miss_probability(n[unsure], h[unsure], drawn[unsure])
    return taken, found, chance


def gain_at(groups: Groups, k: int | Floats | None, discounts: Floats | None = None) -> Floats:
    """Expected sum of gains in the first k places, each times its discount (1 without a table).

    k: one cut-off, or one a query. discounts: running sums, entry i for the first i places. Linear in the
    places, so a tie group counts its mean gain at each of its places.
    """
    ends = np.cumsum(groups.size, axis=1)
    limit = groups.items if k is None else np.minimum(groups.items, k)
    high = np.minimum(ends, limit[:, None])
    low = np.minimum(ends - groups.size, limit[:, None])
    weights = high - low  # of the places, inside k, that each group takes
    if discounts is not None:
        weights = discounts[high.astype(np.intp)] - discounts[low.astype(np.intp)]
    mean = np.divide(groups.gain, groups.size, out=np.zeros_like(groups.gain), where=groups.size > 0)
    return np.asarray((mean * weights).sum(axis=1), dtype=np.float64)


def discount_table(places: int) -> Floats:
    """Running sums of 1 / log2(1 + i), entry i for the first i places."""
    steps = 1 / np.log2(np.arange(2, places + 2, dtype=np.float64))
    exact = np.cumsum(steps.astype(np.longdouble))  # differences of the sums must keep their digits
    return np.concatenate([[0.0], exact.astype(np.float64)])


def grouped_average_precision(groups: Groups) -> Floats:
    """Average precision (queries,) where each tie enters as a whole, as scikit-learn has it.

    The sum over ties of the precision after the tie times the share of the relevant items in it; 0 for
    a query without a relevant item.
    """
    items, hits = np.cumsum(groups.size, axis=1), np.cumsum(groups.hits, axis=1)
    precision = np.divide(hits, items, out=np.zeros_like(hits), where=items > 0)
    total, relevant = (precision * groups.hits).sum(axis=1), groups.relevant
    return np.asarray(np.divide(total, relevant, out=np.zeros_like(total), where=relevant > 0))
