"""Several methods over several data sets and code lengths: ranks, Friedman, Nemenyi, Wilcoxon with Holm."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
#: Two means closer than this count as a tie of a block.
TIE = 0.0005


@dataclass(frozen=True)
class Ranking:
    """Methods over blocks. scores: (methods, blocks), higher is better; ranks: mean rank, 1 is best.

    p: Friedman's test that all methods are alike. cd: Nemenyi's critical difference of mean ranks at 5 %. wilcoxon:
    (one, other) -> Holm-adjusted two-sided p of the signed-rank test over blocks. won: (one, other) ->
    (wins, ties, losses) of one, a tie being a difference below `TIE`.
    """

    methods: tuple[str, ...]
    blocks: tuple[str, ...]
    scores: NDArray[np.float64]
    ranks: tuple[float, ...]
    p: float
    cd: float
    wilcoxon: dict[tuple[str, str], float]
    won: dict[tuple[str, str], tuple[int, int, int]]


def rank_methods(methods: Sequence[str], blocks: Sequence[str], scores: NDArray[np.float64]) -> Ranking:
    """Compare at least 3 methods over at least 2 blocks (Demsar, Statistical comparisons of classifiers over
    multiple data sets, JMLR 2006). scores: (methods, blocks), without gaps. Raises ValueError for fewer.
    """
    from scipy import stats

    count, number = scores.shape
    if count < 3 or number < 2 or np.isnan(scores).any():
        raise ValueError(f"{count} methods over {number} blocks; at least 3 over 2, without gaps")
    ranks = np.stack([stats.rankdata(-scores[:, block]) for block in range(number)], axis=1).mean(axis=1)
    same = bool((scores == scores[:1]).all())
    p = 1.0 if same else float(stats.friedmanchisquare(*scores).pvalue)
    q = float(stats.studentized_range.ppf(0.95, count, np.inf)) / np.sqrt(2)
    cd = q * np.sqrt(count * (count + 1) / (6 * number))
    pairs = list(itertools.combinations(range(count), 2))
    raw = {pair: _signed_rank(scores[pair[0]] - scores[pair[1]]) for pair in pairs}
    won = {}
    for one, other in itertools.permutations(range(count), 2):
        change = scores[one] - scores[other]
        wins, losses = int((change >= TIE).sum()), int((change <= -TIE).sum())
        won[methods[one], methods[other]] = (wins, number - wins - losses, losses)
    adjusted = {(methods[a], methods[b]): value for (a, b), value in holm(raw).items()}
    return Ranking(
        tuple(methods), tuple(blocks), scores, tuple(map(float, ranks)), p, float(cd), adjusted, won
    )


def _signed_rank(change: NDArray[np.float64]) -> float:
    from scipy import stats

    return float(stats.wilcoxon(change).pvalue) if (change != 0).any() else 1.0


def holm(values: dict[Key, float]) -> dict[Key, float]:
    """Holm's step-down adjustment of p-values (Scandinavian Journal of Statistics 1979)."""
    order = sorted(values, key=lambda key: values[key])
    adjusted: dict[Key, float] = {}
    highest = 0.0
    for place, key in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * values[key]))
        adjusted[key] = highest
    return adjusted


def cliques(ranking: Ranking) -> list[tuple[int, int]]:
    """Stretches (first, last) of the methods sorted by rank that lie within the critical difference; the longest
    ones alone.
    """
    order = sorted(ranking.ranks)
    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = max(i for i in range(first, len(order)) if order[i] - order[first] <= ranking.cd)
        if last > first and not any(low <= first and last <= high for low, high in found):
            found.append((first, last))
    return found
