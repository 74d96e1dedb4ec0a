"""What a convention that leaves ties to an unstable sort can give: its mean over all orders, and the extremes.

The order that numpy's default sort leaves inside a tie follows from no rule: it changes with numpy's version and
with the processor. The number that such a repository prints is one of many; these three depend on the codes alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import Rules
from benchmark.metrics.groups import average_precision, found_at, tie_groups
from benchmark.metrics.ties import Floats, reciprocal_sum
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.convention_table import Convention
from benchmark.scoring.dense import has_zeros, ranked_lists, signed_pair


class TieOrders(NamedTuple):
    """Average precision of each query (queries,): the mean over all orders inside ties, the least and the largest.

    NaN where the convention skips the query.
    """

    expected: Floats
    low: Floats
    high: Floats


def tie_orders(
    conventions: Sequence[Convention], codes: CodeSet, rules: Rules, seed: int = 0
) -> dict[str, TieOrders]:
    """name -> `TieOrders` of those of the conventions whose sort is unstable and meets ties."""
    found: dict[str, TieOrders] = {}
    open_ones = [one for one in conventions if one.open_ties]
    signs = {one.sign: one.sign for one in open_ones}
    if not has_zeros(codes):  # no value on the threshold: it is one whatever becomes of sign(0)
        signs |= dict.fromkeys(signs.keys() & {"zero", "random"}, "zero")
    for sign in sorted({*signs.values()}):
        alike = [one for one in open_ones if signs[one.sign] == sign]
        queries, items = signed_pair(codes, sign, seed)
        values = {one.name: np.full((3, len(queries)), np.nan) for one in alike}
        for query, products, relevant, limit in ranked_lists((queries, items), codes, rules):
            cells = _cells(products, relevant, codes.bits)
            three = functools.cache(functools.partial(_three, cells))  # most conventions ask for the same
            for one in alike:
                kept = limit - 1 if one.drop_last and rules.k is None else limit
                values[one.name][:, query] = three(kept, one.no_hit == "zero")
        for one in alike:
            if one.no_label == "skip":
                values[one.name][:, codes.unlabelled] = np.nan
        found |= {name: TieOrders(*rows) for name, rows in values.items()}
    return found


def _cells(products: NDArray[np.floating], relevant: NDArray[np.bool_], bits: int) -> NDArray[np.int64]:
    """Counts (distances, not relevant and relevant). Zeros make half-integer distances: twice them is whole."""
    doubled = np.rint(bits - products.astype(np.float64)).astype(np.intp)
    return np.bincount(doubled * 2 + relevant, minlength=2 * (2 * bits + 1)).reshape(-1, 2)


def _three(cells: NDArray[np.int64], kept: int, counts_misses: bool) -> tuple[float, float, float]:
    """Mean, least and largest average precision of the first `kept` items: of the orders with a hit, or of all.

    NaN for a list that never has one.
    """
    groups = tie_groups(cells[None], "expected")
    low, high = (_extreme(cells, kept, best=best, counts_misses=counts_misses) for best in (False, True))
    mean = float(average_precision(groups, kept, "retrieved-in-k")[0][0]) if kept else 0.0
    if counts_misses:
        return mean, low, high
    chance = float(found_at(groups, np.array([kept]))[2][0, 0]) if kept else 0.0
    return mean / chance if chance else np.nan, low, high


def _extreme(cells: NDArray[np.int64], kept: int, *, best: bool, counts_misses: bool) -> float:
    """The largest or least average precision over all orders inside ties.

    In whole ties hits come first or last. Of the tie that is cut any number of hits may lie inside: each is tried,
    since one more hit raises the sum and what it is divided by.
    """
    size, hits = cells.sum(axis=1).astype(float), cells[:, 1].astype(float)
    n0, h0 = np.cumsum(size) - size, np.cumsum(hits) - hits
    whole = n0 + size <= kept
    start = n0 if best else n0 + size - hits
    total = _hit_sum(h0, start, hits)[whole].sum()
    before, cut = hits[whole].sum(), np.flatnonzero(~whole & (n0 < kept))
    inside = np.zeros(1)
    if len(cut):
        at = cut[0]
        drawn = kept - n0[at]
        inside = np.arange(max(0.0, drawn - (size[at] - hits[at])), min(hits[at], drawn) + 1)
        start = np.full_like(inside, n0[at]) if best else n0[at] + drawn - inside
        total = total + _hit_sum(np.full_like(inside, before), start, inside)
    found = before + inside
    values = np.divide(total, found, out=np.zeros_like(found), where=found > 0)
    values = values if counts_misses else values[found > 0]
    return float(values.max() if best else values.min()) if len(values) else np.nan


def _hit_sum(before: Floats, start: Floats, hits: Floats) -> Floats:
    """Sum of the precisions at `hits` hits in a row after `start` items, `before` of which were hits."""
    return hits + (before - start) * reciprocal_sum(start, start + hits)
