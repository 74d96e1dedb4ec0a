"""One effect over many comparisons: seeds drawn within data sets, queries within seeds, Student's t for few."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: From so many common seeds on, and below such a p-value, a difference is said to be one.
MIN_SEEDS, LEVEL = 3, 0.05
#: One comparison: by seed (or seed and class split) the change of each query, NaN where one was skipped; an
#: array of one value where only a mean is known.
Changes = Mapping[Any, NDArray[np.float64]]


@dataclass(frozen=True)
class Comparison:
    """Mean difference (first minus second) with its 95 % interval and two-sided p-value, NaN where there is none.

    `seeds` are the common ones; `queries` counts each seed's, 0 where only seeds were compared. With one seed only
    the queries vary, which says nothing of another training: no interval is shown.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: tuple[int, ...]
    queries: int

    @property
    def text(self) -> str:
        """`+0.0203 [+0.0150, +0.0260], p<0.001, 3 seeds x 200 queries`."""
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) != 1 else ''}"
        queries = f" x {self.queries // len(self.seeds)} queries" if self.queries and self.seeds else ""
        return f"{self.difference:+.4f} {self.interval}, {p_text(self.p)}, {seeds}{queries}"

    @property
    def interval(self) -> str:
        """`[+0.0150, +0.0260]`; a dash where one seed gives none."""
        if len(self.seeds) < 2 or math.isnan(self.low):
            return "–"
        return f"[{self.low:+.4f}, {self.high:+.4f}]"


def p_text(p: float | None, name: str = "p") -> str:
    """`p<0.001`, `p=0.012`, or `p=–` where there is none; without a name `<0.001`, `0.012`, `–`."""
    if p is None or math.isnan(p):
        return f"{name}=–" if name else "–"
    equals = "=" if name else ""
    return f"{name}<0.001" if p < 0.001 else f"{name}{equals}{p:.3f}"


@dataclass(frozen=True)
class Stratum:
    """One data set: its mean, the variance of that mean, how many draws that rests on, of how many seeds."""

    mean: float
    variance: float
    draws: int
    seeds: int


def pooled_effect(strata: Mapping[str, Sequence[Changes]], level: float = 0.05) -> Comparison | None:
    """The mean over data sets (`strata`), over the comparisons of each, over seeds, over queries.

    The standard error is that of the hierarchical bootstrap (seeds of a data set with replacement, all comparisons
    that share a seed together, then queries) in its limit of many resamples, which needs no draws; times
    sqrt(n / (n - 1)), for the bootstrap of n seeds is that much too narrow. The 95 % interval and the p-value are
    Student's, degrees of freedom after Satterthwaite. Efron and Tibshirani, An introduction to the bootstrap, 1993,
    chapters 8 and 12. Where a data set has one seed there is no interval: NaN. None without a value.

    level: the share of such intervals that may miss the truth.
    """
    from scipy import stats

    parts = strata_of(strata)
    if not parts:
        return None
    mean = math.fsum(part.mean for part in parts) / len(parts)
    mean = round(mean, 12)  # changes that cancel are zero whatever the order of their sum
    known = [_known(one) for members in strata.values() for one in members]
    seeds = tuple(sorted({_seed(key) for one in known for key in one}))
    queries = sum(values.size for one in known for values in one.values() if values.size > 1)
    if any(part.seeds < 2 for part in parts):
        return Comparison(mean, math.nan, math.nan, math.nan, seeds, queries)
    error, free = error_of(parts)
    if error < 1e-12:
        return Comparison(mean, mean, mean, 1.0 if mean == 0 else 0.0, seeds, queries)
    reach = float(stats.t.isf(level / 2, free)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, free))
    return Comparison(mean, mean - reach, mean + reach, p, seeds, queries)


def strata_of(strata: Mapping[str, Sequence[Changes]]) -> list[Stratum]:
    """What `pooled_effect` rests on, data sets without a value left out."""
    known = [[found for one in members if (found := _known(one))] for members in strata.values()]
    return [_stratum(members) for members in known if members]


def error_of(parts: Sequence[Stratum], seeds: int | None = None) -> tuple[float, float]:
    """(standard error of the mean over data sets, its degrees of freedom), of at least two draws each.

    seeds: as it would be with so many, at the spread seen.
    """
    ratios = [1.0 if seeds is None else seeds / part.seeds for part in parts]
    spreads = [part.variance / ratio / len(parts) ** 2 for part, ratio in zip(parts, ratios, strict=True)]
    whole = math.fsum(spreads)
    apart = math.fsum(
        one**2 / (part.draws * ratio - 1) for one, part, ratio in zip(spreads, parts, ratios, strict=True)
    )
    return math.sqrt(whole), whole**2 / apart if apart else math.inf


def _known(changes: Changes) -> dict[Any, NDArray[np.float64]]:
    """Without skipped queries, and without seeds that have no others."""
    found = {key: values[~np.isnan(values)] for key, values in changes.items()}
    return {key: values for key, values in found.items() if values.size}


def _stratum(members: Sequence[Changes]) -> Stratum:
    """One data set. A comparison of n seeds weighs each by 1/n: one that lacks a seed shifts nothing."""
    means = [math.fsum(float(values.mean()) for values in one.values()) / len(one) for one in members]
    apart: dict[Hashable, float] = {}
    within: dict[tuple[Hashable, int], NDArray[np.float64]] = {}
    for one, mean in zip(members, means, strict=True):
        weight = 1 / (len(one) * len(members))
        for key, values in one.items():
            own = float(values.mean())
            apart[key] = apart.get(key, 0.0) + weight * (own - mean)
            place = key, values.size  # equal numbers are the same queries: they are drawn together
            within[place] = within.get(place, 0.0) + weight * (values - own)
    draws = len(apart)
    variance = math.fsum(one**2 for one in apart.values())
    variance += math.fsum(float((part**2).mean()) / part.size for part in within.values())
    return Stratum(
        math.fsum(means) / len(means), variance * draws / max(1, draws - 1), draws, len({*map(_seed, apart)})
    )


def _seed(key: Any) -> int:
    return int(key[0] if isinstance(key, tuple) else key)
