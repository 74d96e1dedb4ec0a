"""Ranking metrics that are computed where they are asked for, from tie groups or from one order.

Each is exact over ties: its mean over all orders of the items inside a group. Under `optimistic` and `pessimistic`
a group holds hits alone or none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmark.metrics.groups import Groups, Mask, average_precision, gain_at, group_sum
from benchmark.metrics.ordered import Hits, ordered_average_precision
from benchmark.metrics.ties import NEGLIGIBLE, Floats, reciprocal_sum


def _share(total: Floats, of: Floats) -> tuple[Floats, Mask]:
    return np.divide(total, of, out=np.zeros_like(total), where=of > 0), of > 0


def _r_precision(groups: Groups, k: int | None) -> tuple[Floats, Mask]:
    return _share(gain_at(groups, groups.relevant), groups.relevant)


def _map_at_r(groups: Groups, k: int | None) -> tuple[Floats, Mask]:
    return average_precision(groups, groups.relevant, "all-relevant")


def _reciprocal_rank(groups: Groups, k: int | None) -> tuple[Floats, Mask]:
    """The first hit stands in the nearest group that holds one, at a place that its share of hits decides."""
    rows, at = np.arange(len(groups.hits)), (groups.hits > 0).argmax(axis=1)
    n, h = groups.size[rows, at], groups.hits[rows, at]
    n0 = np.cumsum(groups.size, axis=1)[rows, at] - n
    limit = groups.items if k is None else np.minimum(groups.items, k)
    possible = (h > 0) & (n0 < limit)
    total = np.zeros(len(n))
    single = possible & (h == 1)
    end = np.minimum(n0 + n, limit)
    total[single] = reciprocal_sum(n0[single], end[single]) / n[single]
    alive = np.flatnonzero(possible & (h > 1))
    unmet, place = np.ones(len(alive)), 1.0  # probability that no earlier place holds a hit
    while len(alive):
        hit = unmet * h[alive] / (n[alive] - place + 1)
        total[alive] += hit / (n0[alive] + place)
        unmet, place = unmet - hit, place + 1
        going = (
            (unmet > NEGLIGIBLE) & (n0[alive] + place <= limit[alive]) & (place <= n[alive] - h[alive] + 1)
        )
        alive, unmet = alive[going], unmet[going]
    return total, possible


def _first_hits(groups: Groups, k: int | None) -> tuple[Floats, Mask]:
    """Mean precision at the first k hits, or at all of them where there are fewer."""
    relevant = groups.relevant
    wanted = relevant if k is None else np.minimum(relevant, k)
    n0, h0 = np.cumsum(groups.size, axis=1) - groups.size, np.cumsum(groups.hits, axis=1) - groups.hits
    whole = (groups.hits > 0) & (h0 + groups.hits <= wanted[:, None])
    total = np.zeros(groups.size.shape)
    n, h = groups.size[whole], groups.hits[whole]
    total[whole] = group_sum(n, h, h, n0[whole], h0[whole])
    for at in zip(*np.nonzero((h0 < wanted[:, None]) & (h0 + groups.hits > wanted[:, None]))):
        some = int(wanted[at[0]] - h0[at])
        total[at] = _cut_hits(int(groups.size[at]), int(groups.hits[at]), some, n0[at], h0[at])
    return _share(total.sum(axis=1), wanted)


def _cut_hits(n: int, h: int, some: int, n0: float, h0: float) -> float:
    """Expected sum of precision over the first `some` (fewer than h) of a group's h hits among n items.

    At place t a hit counts while X < some, X the hits at the t - 1 places before it, and adds h0 + 1 + X to what is
    divided by its rank. X < some is the event that hit number `some` of the other items stands at t or later.
    """
    place = np.arange(1, n + 1, dtype=np.float64)
    counts = _at_or_after(n - 1, h - 1, some, place)
    pair = _at_or_after(n - 2, h - 2, some - 1, place - 1)
    others = (place - 1) * (h - 1) / max(n - 1, 1)
    return float((h / n * ((h0 + 1) * counts + others * pair) / (n0 + place)).sum())


def _at_or_after(n: int, h: int, number: int, place: Floats) -> Floats:
    """Probability that hit `number` of h, among n items in random order, stands at `place` or later."""
    if number == 0:
        return np.zeros_like(place)
    where = np.arange(number, n - h + number + 1, dtype=np.float64)  # negative hypergeometric
    here = where[:-1]
    steps = np.log(here / (here - number + 1)) + np.log((n - here - (h - number)) / (n - here))
    weight = np.concatenate([[0.0], np.cumsum(steps)])
    weight = np.exp(weight - weight.max())
    tail = np.cumsum(weight[::-1])[::-1] / weight.sum()
    index = np.clip(place.astype(np.intp) - number, 0, len(tail))
    return np.append(tail, 0.0)[index]


def _trapezoids(groups: Groups, k: int | None) -> tuple[Floats, Mask]:
    """The mean of the precision just before and just after each hit; before the first item it is 1."""
    n0, h0 = np.cumsum(groups.size, axis=1) - groups.size, np.cumsum(groups.hits, axis=1) - groups.hits
    some = groups.hits > 0
    n, h, n0, h0 = groups.size[some], groups.hits[some], n0[some], h0[some]
    pair = (h - 1) / np.maximum(n - 1, 1)
    first = n0 == 0
    start = np.where(first, 1.0, n0)
    later = pair * n + (h0 - pair * start) * reciprocal_sum(start - 1, start + n - 1)
    before = np.zeros(groups.size.shape)
    before[some] = h / n * np.where(first, 1 + pair * (n - 1), later)
    after, possible = average_precision(groups, None, "all-relevant")
    return (_share(before.sum(axis=1), groups.relevant)[0] + after) / 2, possible


def _one_r_precision(hits: Hits, k: int | None) -> tuple[float, bool]:
    relevant = len(hits.ranks)
    return (float((hits.ranks <= relevant).mean()), True) if relevant else (0.0, False)


def _one_map_at_r(hits: Hits, k: int | None) -> tuple[float, bool]:
    return ordered_average_precision(hits, len(hits.ranks), "all-relevant")


def _one_reciprocal_rank(hits: Hits, k: int | None) -> tuple[float, bool]:
    inside = hits.ranks[:1][hits.ranks[:1] <= (hits.items if k is None else k)]
    return (float(1 / inside[0]), True) if len(inside) else (0.0, False)


def _one_first_hits(hits: Hits, k: int | None) -> tuple[float, bool]:
    ranks = hits.ranks[:k]
    return (float((np.arange(1, len(ranks) + 1) / ranks).mean()), True) if len(ranks) else (0.0, False)


def _one_trapezoids(hits: Hits, k: int | None) -> tuple[float, bool]:
    found, before = np.arange(len(hits.ranks)), hits.ranks - 1
    start = np.divide(found, before, out=np.ones(len(found)), where=before > 0)
    return (float((start + (found + 1) / hits.ranks).mean() / 2), True) if len(found) else (0.0, False)


class Further(NamedTuple):
    """One metric, both ways: values and whether a hit is possible, from all queries' groups or one order."""

    of_groups: Callable[[Groups, int | None], tuple[Floats, Mask]]
    of_order: Callable[[Hits, int | None], tuple[float, bool]]


#: Name of a metric of the group "ranking" -> how it is computed.
FURTHER: dict[str, Further] = {
    "r_precision": Further(_r_precision, _one_r_precision),
    "map_at_r": Further(_map_at_r, _one_map_at_r),
    "mrr": Further(_reciprocal_rank, _one_reciprocal_rank),
    "map_first_hits": Further(_first_hits, _one_first_hits),
    "map_trapezoid": Further(_trapezoids, _one_trapezoids),
}
