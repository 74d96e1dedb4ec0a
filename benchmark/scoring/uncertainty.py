"""How sure a mean over queries is: bootstrap intervals, and a paired test between two sets of codes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.metrics.rules import checked_cutoff
from benchmark.metrics.ties import Floats

_CELLS = 1 << 20  # random numbers drawn at a time
_EXACT = 16  # up to this many differing queries, all sign patterns are counted


@dataclass(frozen=True)
class Paired:
    """Two sets of codes on the same queries: mean difference (first minus second) and its uncertainty.

    low, high: the bootstrap interval of the difference. p_value: of the sign-flip test, in 0..1; see `paired`.
    better, equal, worse: queries by the sign of their difference; skipped: those that either side leaves out.
    """

    difference: float
    low: float
    high: float
    p_value: float
    better: int
    equal: int
    worse: int
    skipped: int

    def as_dict(self) -> dict[str, Any]:
        """The fields, with None for NaN."""
        return {key: None if value != value else value for key, value in asdict(self).items()}


def check_resampling(resamples: int, confidence: float) -> None:
    """InputError unless there is a resample and 0 < confidence < 1."""
    checked_cutoff(resamples, "the number of resamples")
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence!r}; it must lie between 0 and 1, such as 0.95")


def bootstrap(
    columns: dict[str, Floats], *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (low, high) for the mean of each column (queries,), NaN left out.

    Queries are drawn with replacement (Efron's bootstrap), the same draws for every column. A column
    without a number yields NaN. Raises InputError for resamples < 1 or a confidence outside 0..1.
    """
    check_resampling(resamples, confidence)
    if not columns:
        return {}
    matrix = np.stack(list(columns.values()), axis=1)
    known = ~np.isnan(matrix)
    values, weights = np.where(known, matrix, 0.0), known.astype(np.float64)
    queries = len(matrix)
    rng = np.random.default_rng(seed)
    means = np.full((resamples, matrix.shape[1]), np.nan)
    step = max(1, _CELLS // queries)
    for low in range(0, resamples, step):
        size = min(step, resamples - low)
        draws = rng.integers(0, queries, (size, queries)) + np.arange(size)[:, None] * queries
        times = np.bincount(draws.ravel(), minlength=size * queries).reshape(size, queries)
        total, count = times @ values, times @ weights
        np.divide(total, count, out=means[low : low + size], where=count > 0)
    tail = (1 - confidence) / 2
    return {key: _quantiles(means[:, at], tail) for at, key in enumerate(columns)}


def _quantiles(means: Floats, tail: float) -> tuple[float, float]:
    known = means[~np.isnan(means)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def paired(
    first: Floats, second: Floats, *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Paired:
    """Compare two columns (queries,) of per-query scores on the same queries.

    p_value: two-sided sign-flip (permutation) test of a zero mean difference; every one of the 2^n
    patterns for up to 16 differing queries, otherwise `resamples` random ones, counting the observed
    one. It does not depend on which set comes first. Queries that either side skips are left out.
    Raises InputError for columns of unlike length.
    """
    check_resampling(resamples, confidence)
    if first.shape != second.shape:
        raise InputError(
            f"the two sets have {len(first)} and {len(second)} queries; a paired test needs the same"
        )
    known = ~(np.isnan(first) | np.isnan(second))
    change = (first - second)[known]
    skipped = int((~known).sum())
    if not len(change):
        return Paired(float("nan"), float("nan"), float("nan"), float("nan"), 0, 0, 0, skipped)
    low, high = bootstrap({"d": change}, resamples=resamples, seed=seed, confidence=confidence)["d"]
    p_value = _sign_flip(change[change != 0], resamples, seed)
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    return Paired(
        float(change.mean()), low, high, p_value, better, len(change) - better - worse, worse, skipped
    )


def _sign_flip(change: Floats, resamples: int, seed: int) -> float:
    if not len(change):
        return 1.0
    size = np.abs(change)  # so that swapping the two sets draws the same patterns
    observed = abs(float(change.sum())) * (1 - 1e-12)
    if len(change) <= _EXACT:
        bits = (np.arange(2 ** len(change))[:, None] >> np.arange(len(change))) & 1
        return float((np.abs((2 * bits - 1) @ size) >= observed).mean())
    rng = np.random.default_rng(seed)
    extreme, step = 0, max(1, _CELLS // len(change))
    for low in range(0, resamples, step):
        signs = rng.integers(0, 2, (min(step, resamples - low), len(change)), dtype=np.int8)
        extreme += int((np.abs((2.0 * signs - 1) @ size) >= observed).sum())
    return (extreme + 1) / (resamples + 1)
