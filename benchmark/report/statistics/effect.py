"""One effect over many comparisons: seeds drawn within data sets, queries within seeds, Student's t for few."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report.statistics.compare import Comparison

#: One comparison: by seed (or seed and class split) the change of each query, NaN where one was skipped; an
#: array of one value where only a mean is known.
Changes = Mapping[Any, NDArray[np.float64]]


def pooled_effect(strata: Mapping[str, Sequence[Changes]]) -> Comparison | None:
    """The mean over data sets (`strata`), over the comparisons of each, over seeds, over queries.

    The standard error is that of the hierarchical bootstrap (seeds of a data set with replacement, all comparisons
    that share a seed together, then queries) in its limit of many resamples, which needs no draws; times
    sqrt(n / (n - 1)), for the bootstrap of n seeds is that much too narrow. The 95 % interval and the p-value are
    Student's, degrees of freedom after Satterthwaite. Efron and Tibshirani, An introduction to the bootstrap, 1993,
    chapters 8 and 12. Where a data set has one seed there is no interval: NaN. None without a value.
    """
    from scipy import stats

    known = {name: [found for one in members if (found := _known(one))] for name, members in strata.items()}
    known = {name: members for name, members in known.items() if members}
    if not known:
        return None
    parts = [_stratum(members) for members in known.values()]
    mean = math.fsum(part[0] for part in parts) / len(parts)
    mean = round(mean, 12)  # changes that cancel are zero whatever the order of their sum
    seeds = tuple(sorted({_seed(key) for members in known.values() for one in members for key in one}))
    queries = sum(values.size for members in known.values() for one in members for values in one.values())
    if any(draws < 2 for _, _, draws in parts):
        return Comparison(mean, math.nan, math.nan, math.nan, seeds, queries)
    spreads = [variance / len(parts) ** 2 for _, variance, _ in parts]
    error = math.sqrt(math.fsum(spreads))
    if error < 1e-12:
        return Comparison(mean, mean, mean, 1.0 if mean == 0 else 0.0, seeds, queries)
    free = error**4 / math.fsum(one**2 / (part[2] - 1) for one, part in zip(spreads, parts, strict=True))
    reach = float(stats.t.ppf(0.975, free)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, free))
    return Comparison(mean, mean - reach, mean + reach, p, seeds, queries, error)


def seeds_that_decide(found: Comparison, smallest: float, level: float, most: int) -> int | None:
    """How many seeds decide an effect with 80 % power, if effect and spread are as found; None above `most`.

    Either the effect differs from 0 at `level`, two-sided; or its 95 % interval lies within `smallest` of 0.
    The standard error is taken to shrink with the square root of the seeds, degrees of freedom to be one less than
    the seeds. A found effect at the edge of the smallest one of interest is never decided. Raises ValueError for a
    comparison without a standard error.
    """
    from scipy import stats

    if not found.error >= 0:
        raise ValueError("one seed says nothing of the spread")
    have, effect = len(found.seeds), abs(found.difference)
    for seeds in range(max(have, 3), most + 1):
        error, ppf = found.error * math.sqrt(have / seeds), functools.partial(stats.t.ppf, df=seeds - 1)
        # Only one side of the interval can leave the middle, but for an effect near 0: then both.
        power = 0.8 if effect > smallest / 4 else 0.9
        if effect >= (ppf(1 - level / 2) + ppf(0.8)) * error:
            return seeds
        if smallest - effect >= (ppf(0.975) + ppf(power)) * error:
            return seeds
    return None


def _known(changes: Changes) -> dict[Any, NDArray[np.float64]]:
    """Without skipped queries, and without seeds that have no others."""
    found = {key: values[~np.isnan(values)] for key, values in changes.items()}
    return {key: values for key, values in found.items() if values.size}


def _stratum(members: Sequence[Changes]) -> tuple[float, float, int]:
    """(mean, variance of the mean, seeds) of one data set.

    A comparison that has n of the seeds weighs each by 1/n: one that lacks a seed shifts nothing.
    """
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
    return math.fsum(means) / len(means), variance * draws / max(1, draws - 1), draws


def _seed(key: Any) -> int:
    return int(key[0] if isinstance(key, tuple) else key)
