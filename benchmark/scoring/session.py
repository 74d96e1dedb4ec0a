"""One scoring session: codes in, everything that was asked for out, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.errors import InputError, unknown
from benchmark.metrics import METRICS, Evaluation, Rules, code_health, evaluate
from benchmark.metrics.table import names_of
from benchmark.metrics.ties import Floats
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.convention_table import Convention
from benchmark.scoring.conventions import score_conventions
from benchmark.scoring.tie_orders import TieOrders, tie_orders
from benchmark.scoring.uncertainty import Paired, bootstrap, check_resampling, paired

#: Metrics of `run --views` alone: they need a second data set's queries.
FOREIGN = names_of("foreign")
HEALTH = names_of("codes")
_PAIRED = 2000  # resamples of a paired test where no number is asked for


@dataclass(frozen=True)
class Request:
    """What to compute, apart from the codes."""

    rules: Rules
    metrics: tuple[str, ...] | None = None
    no_label: str = "count"  # or "skip": queries without a label are left out of everything
    at: tuple[int, ...] = (100, 1000)
    conventions: tuple[Convention, ...] = ()
    resamples: int = 0
    seed: int = 0
    confidence: float = 0.95
    engine: str = "auto"
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class ScoredCodes:
    """What was computed. `intervals` and `conventions` are empty unless asked for.

    conventions: as their repositories' own calls give it here. tie_orders: what those with an unstable sort can
    give.
    """

    codes: CodeSet
    request: Request
    evaluation: Evaluation
    health: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    conventions: dict[str, Floats | InputError] = field(default_factory=dict)
    tie_orders: dict[str, TieOrders] = field(default_factory=dict)


def score(codes: CodeSet, request: Request) -> ScoredCodes:
    """Score one `CodeSet`; InputError for whatever does not fit."""
    if request.resamples:
        check_resampling(request.resamples, request.confidence)
    if request.no_label not in ("count", "skip"):
        raise InputError(f"no_label is {request.no_label!r}; allowed: count, skip")
    codes = codes.labelled() if request.no_label == "skip" else codes
    packed = codes.packed(request.rules.sign_zero)
    retrieval, health = _split(request.metrics)
    evaluation = evaluate(
        *packed,
        codes.bits,
        *codes.labels,
        rules=request.rules,
        metrics=retrieval,
        at=request.at,
        query_ids=codes.ids[0],
        database_ids=codes.ids[1],
        engine=request.engine,
        threads=request.threads,
        device=request.device,
    )
    intervals = {}
    if request.resamples:
        intervals = bootstrap(
            evaluation.per_query,
            resamples=request.resamples,
            seed=request.seed,
            confidence=request.confidence,
        )
    conventions, orders = {}, dict[str, TieOrders]()
    if request.conventions:
        conventions = score_conventions(request.conventions, codes, request.rules, request.seed)
        for name, found in conventions.items():
            if isinstance(found, InputError) and len(request.conventions) < 3:
                raise InputError(f"convention {name!r} {found}")
        orders = tie_orders(request.conventions, codes, request.rules, request.seed)
    sets = {side: code_health(one, codes.bits) for side, one in zip(("query", "database"), packed)}
    kept = {side: {key: facts[key] for key in health} for side, facts in sets.items() if health}
    return ScoredCodes(codes, request, evaluation, kept, intervals, conventions, orders)


def _split(metrics: Sequence[str] | None) -> tuple[list[str] | None, list[str]]:
    """Names of ranking metrics (None: all that fit) and of code health."""
    if metrics is None:
        return None, list(HEALTH)
    for name in metrics:
        if name not in METRICS or name in FOREIGN:
            raise unknown("metric", name, [known for known in METRICS if known not in FOREIGN])
    return [name for name in metrics if name not in HEALTH], [name for name in metrics if name in HEALTH]


def compare(first: ScoredCodes, second: ScoredCodes) -> dict[str, Paired]:
    """Paired comparison of every shared score; InputError unless both sets hold the same queries."""
    one, other = first.codes, second.codes
    for what, left, right in (("labels", one.labels[0], other.labels[0]), ("ids", one.ids[0], other.ids[0])):
        if left is None or right is None:
            continue
        if np.shape(left) != np.shape(right):
            raise InputError(
                f"query {what} have shapes {np.shape(left)} and {np.shape(right)}: a paired test needs the"
                " same queries"
            )
        if not np.array_equal(np.asarray(left), np.asarray(right)):
            raise InputError(f"query {what} differ: a paired test needs the same queries in the same order")
    request = first.request
    columns, others = first.evaluation.per_query, second.evaluation.per_query
    options: dict[str, Any] = {
        "resamples": request.resamples or _PAIRED,
        "seed": request.seed,
        "confidence": request.confidence,
    }
    return {key: paired(columns[key], others[key], **options) for key in columns if key in others}
