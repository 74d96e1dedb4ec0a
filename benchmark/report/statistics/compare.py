"""Is one method really better than another? Paired over the same queries of the same seeds, from stored codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules, evaluate_stored
from benchmark.metrics.engines import choose_engine
from benchmark.report.statistics.effect import LEVEL, Comparison, pooled_effect
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.store.thin import QUERY_AP, is_thin

Floats = NDArray[np.float64]
#: Precisions have the record's own mean, but for the order in which they were summed and their seven digits.
MEAN_TOLERANCE = 1e-7


class Queries:
    """Average precision of each query of a record, from its codes under its own rules; kept once computed.

    Thin codes hold them: they count where their mean is the record's own score.
    """

    def __init__(self, store: Store, many: int = 0) -> None:
        """many: how many records will be asked for, about."""
        self._store, self._many = store, many
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
            # One record alone may not be worth loading the compiled engine; hundreds of them are.
            pairs = len(codes["query_codes"]) * len(codes["database_codes"])
            self._pairs = max(self._pairs + pairs, pairs * self._many)
            engine = choose_engine("auto", self._pairs)
            scored = evaluate_stored(codes, int(codes["bits"]), rules, metrics=["map"], engine=engine)
        except (InputError, KeyError, TypeError, ValueError):
            return None
        return ids, scored.per_query["map"].astype(np.float32).astype(np.float64)  # as thin codes hold them

    def changes(self, first: Iterable[Record], second: Iterable[Record]) -> dict[int, Floats]:
        """By common seed, the first's precision of each query minus the second's."""
        return {seed: one - other for seed, (one, other) in self.pairs(first, second).items()}

    def pairs(self, first: Iterable[Record], second: Iterable[Record]) -> dict[int, tuple[Floats, Floats]]:
        """By common seed, both sides' precisions of each query; seeds that have both codes on the same queries."""
        mine, theirs = ({r.spec.seed: r for r in side} for side in (first, second))
        found = {}
        for seed in sorted(mine.keys() & theirs.keys()):
            one, other = self.of(mine[seed]), self.of(theirs[seed])
            if one is not None and other is not None and np.array_equal(one[0], other[0]):
                found[seed] = one[1], other[1]
        return found

    def compare(
        self, first: Iterable[Record], second: Iterable[Record], rivals: int = 1
    ) -> Comparison | None:
        """The two configurations on their common seeds; None when no seed has both codes on the same queries.

        rivals: how many the first was picked from by its score; the p-value is times that, and the interval as
        much wider (Bonferroni): it holds 0 where the p-value is 0.05 or more.
        """
        found = pooled_effect({"": [self.changes(first, second)]}, LEVEL / max(1, rivals))
        return None if found is None else replace(found, p=min(found.p * rivals, 1.0))


def over_seeds(
    mine: Iterable[Record], theirs: Iterable[Record], value: Callable[[Record], float | None]
) -> dict[Any, NDArray[np.float64]]:
    """By common (seed, class split), the first's value minus the second's, as an array of one."""
    sides = []
    for records in (mine, theirs):
        found = {(r.spec.seed, r.spec.class_split): value(r) for r in records if r.state == "done"}
        sides.append({key: number for key, number in found.items() if number is not None})
    keys = sorted(sides[0].keys() & sides[1].keys(), key=str)
    return {key: np.array([sides[0][key] - sides[1][key]]) for key in keys}


def _stored(codes: dict[str, np.ndarray], record: Record) -> tuple[NDArray[np.int64], Floats] | None:
    """What thin codes say; None when the record says another mean."""
    ids, found = codes["query_ids"].astype(np.int64), codes[QUERY_AP].astype(np.float64)
    known, score = found[~np.isnan(found)], record.score()
    same = score is not None and len(known) > 0 and abs(float(known.mean()) - score) < MEAN_TOLERANCE
    return (ids, found) if same and ids.shape == found.shape else None
