"""The two closed forms behind tie-averaged metrics: harmonic sums and hypergeometric means."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TABLE = 64
_SUMS = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _TABLE + 1))])
# Euler-Maclaurin about the midpoint: H(a) = ln(a + 1/2) + gamma + sum of c / (a + 1/2)^p.
_SERIES = ((1 / 24, 2), (-7 / 960, 4), (31 / 8064, 6), (-127 / 30720, 8))
NEGLIGIBLE = 1e-20  # weight, relative to the largest, beyond which a tail cannot change a float64


def reciprocal_sum(low: Floats, high: Floats) -> Floats:
    """Sum of 1/i for i in low+1..high, elementwise, to a relative error near 1e-16.

    A difference of two tabulated harmonic numbers would lose the digits that a deep rank needs (there
    the sum is tiny and is multiplied by the rank), so past the table the difference itself is expanded.
    """
    near = _SUMS[np.minimum(high, _TABLE).astype(np.intp)] - _SUMS[np.minimum(low, _TABLE).astype(np.intp)]
    first, last = np.maximum(low, _TABLE) + 0.5, np.maximum(high, _TABLE) + 0.5
    far = np.log1p((last - first) / first)
    inverse, other = 1 / (last * last), 1 / (first * first)
    for factor, power in _SERIES:
        far += factor * (inverse ** (power // 2) - other ** (power // 2))
    return np.where(high - low == 1, 1 / np.maximum(high, 1), near + far)


def precision_sum(
    share: Floats, pair: Floats, top: Floats, place: Floats, drawn: Floats, near: Floats
) -> Floats:
    """Expected sum of hit times gain so far / rank over `drawn` places of a tie.

    share: probability of a hit at a place; top: gain so far, with the hit's own, before any other of
    the tie; pair: gain that each earlier place of the tie adds; place: rank of the tie's first place;
    near: the sum of 1/rank. Written so that a list of hits alone gives exactly `drawn`.
    """
    total = share * (pair * drawn + (top - pair * place) * near)
    return np.asarray(total, dtype=np.float64)


class CutTie(NamedTuple):
    """Ties that k cuts, one a query, each field of shape (n,).

    base: the sum over everything nearer; gain: mean gain of a hit; gain_before, hits_before,
    items_before: totals nearer than the tie; items, hits: the tie's; drawn: its places inside k.
    """

    base: Floats
    gain: Floats
    gain_before: Floats
    hits_before: Floats
    items_before: Floats
    items: Floats
    hits: Floats
    drawn: Floats


def expected_ratio(tie: CutTie) -> Floats:
    """Exact mean of (weighted) average precision at a k that falls inside a tie, shape (n,).

    The number j of the tie's hits that land inside k is random (hypergeometric) and stands in the
    denominator too: the mean over j of (base + expected sum given j) / (hits_before + j), where 0/0
    counts 0. The weights follow from the largest one by the ratio of neighbours, upwards and
    downwards, so that nothing overflows and nothing cancels.
    """
    items, hits, drawn = tie.items, tie.hits, tie.drawn
    lowest = np.maximum(0.0, drawn - (items - hits))
    highest = np.minimum(drawn, hits)
    mode = np.clip(np.floor((drawn + 1) * (hits + 1) / (items + 2)), lowest, highest)
    near = reciprocal_sum(tie.items_before, tie.items_before + drawn)
    columns = np.stack([*tie, near, mode, lowest, highest])
    total = _value(columns, mode)
    weight = np.ones_like(mode)
    for upwards in (True, False):
        gained, mass = _tail(columns, upwards)
        total += gained
        weight += mass
    return np.asarray(total / weight, dtype=np.float64)


def _value(columns: Floats, j: Floats) -> Floats:
    base, gain, gain_before, hits_before, items_before, _, _, drawn, near = columns[:9]
    pair = gain * (j - 1) / np.maximum(drawn - 1, 1)
    value = base + precision_sum(j / drawn, pair, gain_before + gain, items_before + 1, drawn, near)
    below = hits_before + j
    return np.asarray(np.divide(value, below, out=np.zeros_like(value), where=below > 0), dtype=np.float64)


def _tail(columns: Floats, upwards: bool) -> tuple[Floats, Floats]:
    """Weighted values and weights on one side of the mode, relative to the mode's weight of 1."""
    size = columns.shape[1]
    gained, mass = np.zeros(size), np.zeros(size)
    alive = np.arange(size)
    j, weight = columns[9].copy(), np.ones(size)
    while True:
        items, hits, drawn, _, _, lowest, highest = columns[5:]
        going = (j < highest if upwards else j > lowest) & (weight > NEGLIGIBLE)
        if not going.all():
            alive, j, weight, columns = alive[going], j[going], weight[going], columns[:, going]
            items, hits, drawn = columns[5:8]
        if not len(alive):
            return gained, mass
        if upwards:
            weight = weight * (hits - j) * (drawn - j) / ((j + 1) * (items - hits - drawn + j + 1))
            j = j + 1
        else:
            weight = weight * j * (items - hits - drawn + j) / ((hits - j + 1) * (drawn - j + 1))
            j = j - 1
        gained[alive] += weight * _value(columns, j)
        mass[alive] += weight


def miss_probability(items: Floats, hits: Floats, drawn: Floats) -> Floats:
    """Probability that `drawn` of `items` items hold none of the `hits` ones, for flat arrays."""
    chance = np.ones(len(items))
    small, large = np.minimum(hits, drawn), np.maximum(hits, drawn)
    alive = np.flatnonzero(small > 0)
    step = 0
    while len(alive):
        left = items[alive] - step
        chance[alive] *= np.maximum(left - large[alive], 0) / left
        step += 1
        alive = alive[(small[alive] > step) & (chance[alive] > NEGLIGIBLE)]
    return chance
