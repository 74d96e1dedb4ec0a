"""Is one method really better than another? Paired over the same queries of the same seeds, from stored codes."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules, evaluate, neighbours_of
from benchmark.metrics.engines import choose_engine
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.store.thin import QUERY_AP, is_thin

Floats = NDArray[np.float64]
RESAMPLES = 2000
#: Precisions have the record's own mean, but for the order in which they were summed and their seven digits.
MEAN_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Comparison:
    """Mean difference (first minus second) with its 95 % interval and two-sided p-value, NaN where there is none.

    `seeds` are the common ones; `queries` counts each seed's, 0 where only seeds were compared. `error` is the
    standard error, where the method has one. With one seed only the queries vary, which says nothing of another
    training: no interval is shown.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: tuple[int, ...]
    queries: int
    error: float = math.nan

    @property
    def text(self) -> str:
        """`+0.0203 [+0.0150, +0.0260], p<0.001, 3 seeds x 200 queries`."""
        p = "p=–" if math.isnan(self.p) else "p<0.001" if self.p < 0.001 else f"p={self.p:.3f}"
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) != 1 else ''}"
        queries = f" x {self.queries // len(self.seeds)} queries" if self.queries and self.seeds else ""
        return f"{self.difference:+.4f} {self.interval}, {p}, {seeds}{queries}"

    @property
    def interval(self) -> str:
        """`[+0.0150, +0.0260]`; a dash where one seed gives none."""
        if len(self.seeds) < 2 or math.isnan(self.low):
            return "–"
        return f"[{self.low:+.4f}, {self.high:+.4f}]"


class Queries:
    """Average precision of each query of a record, from its codes under its own rules; kept once computed.

    Thin codes hold them: they count where their mean is the record's own score.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, tuple[NDArray[np.int64], Floats] | None] = {}
        self._pairs = 0

    def of(self, record: Record) -> tuple[NDArray[np.int64], Floats] | None:
        """(query ids, average precisions), both (queries,); None without codes that can be read."""
        if record.fit_id not in self._found:
            self._found[record.fit_id] = self._score(record)
        return self._found[record.fit_id]

    def _score(self, record: Record) -> tuple[NDArray[np.int64], Floats] | None:
        if record.state != "done" or record.protocol is None:
            return None
        try:
            codes = self._store.codes(record.spec)
            if is_thin(codes):
                return _stored(codes, record)
            known = {name: record.protocol.rules[name] for name in Rules.__dataclass_fields__}
            rules = Rules(**known)
            ids = np.asarray(codes["query_ids"], dtype=np.int64)
            pair = (codes["query_ids"], codes["database_ids"]) if rules.exclude_self else (None, None)
            # One record alone may not be worth loading the compiled engine; hundreds of them are.
            self._pairs += len(codes["query_codes"]) * len(codes["database_codes"])
            scored = evaluate(
                codes["query_codes"],
                codes["database_codes"],
                int(codes["bits"]),
                codes["query_labels"],
                codes["database_labels"],
                rules=rules,
                metrics=["map"],
                engine=choose_engine("auto", self._pairs),
                query_ids=pair[0],
                database_ids=pair[1],
                neighbours=neighbours_of(codes),
            )
        except (InputError, KeyError, TypeError, ValueError):
            return None
        return ids, scored.per_query["map"].astype(np.float32).astype(np.float64)  # as thin codes hold them

    def changes(self, first: Iterable[Record], second: Iterable[Record]) -> dict[int, Floats]:
        """By common seed, the first's precision of each query minus the second's; seeds that have both codes on the
        same queries.
        """
        mine, theirs = ({r.spec.seed: r for r in side} for side in (first, second))
        changes = {}
        for seed in sorted(mine.keys() & theirs.keys()):
            one, other = self.of(mine[seed]), self.of(theirs[seed])
            if one is not None and other is not None and np.array_equal(one[0], other[0]):
                changes[seed] = one[1] - other[1]
        return changes

    def compare(
        self, first: Iterable[Record], second: Iterable[Record], resamples: int = RESAMPLES
    ) -> Comparison | None:
        """The two configurations on their common seeds; None when no seed has both codes on the same queries."""
        changes = self.changes(first, second)
        return paired_bootstrap([*changes.values()], tuple(changes), resamples) if changes else None


def _stored(codes: dict[str, np.ndarray], record: Record) -> tuple[NDArray[np.int64], Floats] | None:
    """What thin codes say; None when the record says another mean."""
    ids, found = codes["query_ids"].astype(np.int64), codes[QUERY_AP].astype(np.float64)
    known, score = found[~np.isnan(found)], record.score()
    same = score is not None and len(known) > 0 and abs(float(known.mean()) - score) < MEAN_TOLERANCE
    return (ids, found) if same and ids.shape == found.shape else None


def paired_bootstrap(
    changes: Sequence[Floats], seeds: tuple[int, ...], resamples: int = RESAMPLES
) -> Comparison | None:
    """The mean over seeds of the mean change over queries, seeds and then queries drawn with replacement.

    changes: one array (queries,) per seed, NaN where a query was skipped. The p-value is twice the smaller share
    of resampled means at or beyond zero (at most 1, at least 2 / (resamples + 1)). Efron and Tibshirani, An
    introduction to the bootstrap, 1993, chapters 8 and 16. None when no query has a value.
    """
    known = [change[~np.isnan(change)] for change in changes]
    if any(not len(change) for change in known):
        return None
    drawn = np.random.default_rng(0).integers(0, len(known), (resamples, len(known)))
    sizes = np.array([len(change) for change in known])
    means = np.zeros(resamples)
    for size in np.unique(sizes):
        same = np.stack([change for change in known if len(change) == size])
        among = np.cumsum(sizes == size) - 1  # where a seed of this size stands in `same`
        for place in range(len(known)):
            rows = np.flatnonzero(sizes[drawn[:, place]] == size)
            picked = among[drawn[rows, place]]
            means[rows] += _resampled_means(same, picked, rows, resamples, place)
    # Rounded, so that changes that cancel are zero whatever the order of their sum.
    means = np.round(means / len(known), 12)
    observed = float(np.mean([change.mean() for change in known]))
    low, high = np.quantile(means, [0.025, 0.975])
    if all((change == 0).all() for change in known):
        p = 1.0
    else:
        below, above = int((means <= 0).sum()), int((means >= 0).sum())
        p = min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))
    return Comparison(observed, float(low), float(high), p, seeds, sum(len(change) for change in known))


def _resampled_means(
    changes: Floats, picked: NDArray[np.intp], rows: NDArray[np.intp], resamples: int, place: int
) -> Floats:
    """Means of the resamples `rows` of the rows `picked` of `changes` (seeds, queries), in blocks that bound the
    memory.
    """
    queries = changes.shape[1]
    times = _times_drawn(queries, resamples, place)
    step = max(1, (1 << 20) // queries)
    found = np.empty(len(rows))
    for low in range(0, len(rows), step):
        part = slice(low, low + step)
        found[part] = np.einsum("rq,rq->r", times[rows[part]], changes[picked[part]])
    return np.asarray(found / queries, dtype=np.float64)


@functools.lru_cache(maxsize=32)
def _times_drawn(queries: int, resamples: int, place: int) -> NDArray[np.uint8]:
    """How often each resample holds each query, (resamples, queries): the same draws for every comparison, so a
    report of hundreds draws them once. No query is drawn 256 times: that has a chance below 1e-500.
    """
    rng = np.random.default_rng([queries, place])
    found = np.empty((resamples, queries), dtype=np.uint8)
    step = max(1, (1 << 15) // queries)
    for low in range(0, resamples, step):
        rows = found[low : low + step]
        cells = rng.integers(0, queries, rows.shape) + queries * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape)
    return found
