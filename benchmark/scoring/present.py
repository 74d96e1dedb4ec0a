"""The outcome of a scoring session as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.rounding import rounded, rounded_all
from benchmark.files.text_table import table
from benchmark.metrics import metric_of
from benchmark.metrics.evaluation import finite
from benchmark.metrics.ties import Floats
from benchmark.scoring.convention_table import CONVENTIONS
from benchmark.scoring.conventions import comparable, spread
from benchmark.scoring.session import ScoredCodes
from benchmark.scoring.uncertainty import Paired


def _label(key: str, k: int | None = None) -> str:
    """The metric's label with its cut-off filled in."""
    cut = "all" if k is None else str(k)
    if key == "map":
        return f"mAP@{cut}"
    label = metric_of(key).label.replace("@N", f"@{key.partition('@')[2]}").replace("@k", f"@{cut}")
    return label.replace("k hits", f"{cut} hits")


def _number(key: str, value: float | None) -> str:
    return "-" if value is None or value != value else format(value, metric_of(key).format)


def mean_of(values: Floats | InputError) -> float:
    """The mean over the queries that count; NaN where there is none, or no numbers at all."""
    if isinstance(values, InputError):
        return float("nan")
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def as_text(
    outcome: ScoredCodes,
    against: tuple[ScoredCodes, dict[str, Paired]] | None = None,
    width: int | None = None,
) -> str:
    """The tables that `score` prints, no wider than `width` characters where that is given."""
    scored, codes = outcome.evaluation, outcome.codes
    parts = [
        f"{codes.name}: {scored.bits} bits, {scored.queries} queries, {scored.database} database items\n"
        f"rules: {scored.rules.describe()}\n"
        f"engine: {scored.engine}" + "".join(f"\nnote: {note}" for note in codes.notes)
    ]
    if scored.values:
        parts.append(_score_table(outcome, width))
    if outcome.health:
        rows = [
            [_label(key), *(_number(key, facts[key]) for facts in outcome.health.values())]
            for key in next(iter(outcome.health.values()))
        ]
        parts.append(table(["code health", *outcome.health], rows, width))
    if outcome.conventions:
        parts.append(_convention_table(outcome, width))
    if against is not None:
        parts.append(_paired_table(outcome, *against, width))
    return "\n\n".join(parts)


def _score_table(outcome: ScoredCodes, width: int | None) -> str:
    values, k = outcome.evaluation.values, outcome.evaluation.rules.k
    if not outcome.intervals:
        rows = [[_label(key, k), _number(key, values[key])] for key in values]
        return table(["metric", "value"], rows, width)
    title = f"{100 * outcome.request.confidence:.4g}% interval"
    rows = []
    for key, value in values.items():
        low, high = outcome.intervals.get(key, (None, None))  # none for what has no score of a query
        rows.append([_label(key, k), _number(key, value), f"{_number(key, low)} .. {_number(key, high)}"])
    request = outcome.request
    caption = f"intervals: bootstrap over queries, {request.resamples} resamples, seed {request.seed}"
    return table(["metric", "value", title], rows, width) + "\n" + caption


def _convention_table(outcome: ScoredCodes, width: int | None) -> str:
    k = outcome.request.rules.k
    rows, alike = [], _comparable(outcome)
    for name, values in outcome.conventions.items():
        rule = str(values) if isinstance(values, InputError) else CONVENTIONS[name].describe()
        rows.append([name, _number("map", mean_of(values)), *_orders(name, outcome), rule])
    reasons: dict[str, list[str]] = {}
    for name in outcome.conventions:
        if name not in alike:
            reasons.setdefault(CONVENTIONS[name].apart(cut=k is not None), []).append(name)
    others = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    left_out = f"without {others}" if others else ""
    head = ["convention", f"mAP@{'all' if k is None else k}"]
    if outcome.tie_orders:
        head.append("over all orders in ties")
    rows.append(["spread (max - min)", _number("map", _spread(outcome)), *[""] * (len(head) - 2), left_out])
    caption = (
        "\nover all orders in ties: mean [least, largest]; where these stand, the mAP is this processor's, "
        "by the order that its unstable sort leaves"
    )
    text = table([*head, "rule"], rows, width, left=["rule"], fold="rule")
    return text + (caption if outcome.tie_orders else "")


def _orders(name: str, outcome: ScoredCodes) -> list[str]:
    """A column of its own where some convention leaves ties open."""
    if name not in outcome.tie_orders:
        return [""] if outcome.tie_orders else []
    mean, low, high = (_number("map", mean_of(values)) for values in outcome.tie_orders[name])
    return [f"{mean} [{low}, {high}]"]


def _comparable(outcome: ScoredCodes) -> list[str]:
    """The conventions that count in the spread."""
    return comparable(outcome.conventions, outcome.request.rules.k, outcome.evaluation.database)


def _spread(outcome: ScoredCodes) -> float:
    return spread(mean_of(outcome.conventions[name]) for name in _comparable(outcome))


def _paired_table(
    first: ScoredCodes, second: ScoredCodes, tests: dict[str, Paired], width: int | None
) -> str:
    rows = []
    for key, test in tests.items():
        rows.append(
            [
                _label(key, first.evaluation.rules.k),
                _number(key, first.evaluation.values[key]),
                _number(key, second.evaluation.values[key]),
                "-" if test.difference != test.difference else f"{test.difference:+.4f}",
                "-" if test.low != test.low else f"{test.low:+.4f} .. {test.high:+.4f}",
                "-" if test.p_value != test.p_value else f"{test.p_value:.4f}",
                f"{test.better}/{test.equal}/{test.worse}",
            ]
        )
    head = [
        "metric",
        "A",
        "B",
        "A - B",
        f"{100 * first.request.confidence:.4g}% interval",
        "p",
        "better/equal/worse",
    ]
    caption = "p: two-sided sign-flip test over the queries that both sets score"
    return f"A = {first.codes.name}\nB = {second.codes.name}\n" + table(head, rows, width) + "\n" + caption


def as_dict(
    outcome: ScoredCodes, against: tuple[ScoredCodes, dict[str, Paired]] | None = None
) -> dict[str, Any]:
    """Everything but the per-query values, JSON-ready (NaN becomes None)."""
    scored = outcome.evaluation.as_dict()
    result: dict[str, Any] = {"file": outcome.codes.name, **scored}
    result["rule_text"] = outcome.evaluation.rules.describe()
    result["notes"] = list(outcome.codes.notes)
    result["code_health"] = outcome.health
    if outcome.intervals:
        result["intervals"] = {
            key: [finite(low), finite(high)] for key, (low, high) in outcome.intervals.items()
        }
        result["bootstrap"] = {
            key: getattr(outcome.request, key) for key in ("resamples", "seed", "confidence")
        }
    if outcome.conventions:
        result["conventions"] = [_convention(name, outcome) for name in outcome.conventions]
        result["spread"] = _spread(outcome)
    if against is not None:
        other, tests = against
        result["against"] = {
            "file": other.codes.name,
            "values": other.evaluation.as_dict()["values"],
            "paired": {key: test.as_dict() for key, test in tests.items()},
        }
    return result


def _convention(name: str, outcome: ScoredCodes) -> dict[str, Any]:
    convention, values = CONVENTIONS[name], outcome.conventions[name]
    reason = str(values) if isinstance(values, InputError) else None
    facts: dict[str, Any] = {"name": name, "map": finite(mean_of(values)), "k": _cutoff(name, outcome)}
    facts |= {"in_spread": name in _comparable(outcome), "rule": convention.describe()}
    if name in outcome.tie_orders:
        three = zip(("mean", "least", "largest"), outcome.tie_orders[name])
        facts["over_tie_orders"] = {key: finite(mean_of(values)) for key, values in three}
    return {**facts, "source": convention.source, "unavailable": reason}


def _cutoff(name: str, outcome: ScoredCodes) -> int | None:
    return outcome.request.rules.k if CONVENTIONS[name].takes_k else None


def as_csv(outcome: ScoredCodes, against: tuple[ScoredCodes, dict[str, Paired]] | None = None) -> str:
    """One row per number: kind, name, value, interval, p-value, and the rules it holds under."""
    rules = outcome.evaluation.rules.as_dict()
    facts = [
        outcome.codes.name,
        outcome.evaluation.bits,
        outcome.evaluation.queries,
        outcome.evaluation.database,
    ]
    rows: list[list[Any]] = []
    for key, value in outcome.evaluation.values.items():
        rows.append(
            ["metric", key, finite(value), *outcome.intervals.get(key, (None, None)), None, *rules.values()]
        )
    for side, health in outcome.health.items():
        rows += [
            [f"{side} code health", key, value, *[None] * (3 + len(rules))] for key, value in health.items()
        ]
    for name, values in outcome.conventions.items():
        own: list[Any] = [_cutoff(name, outcome) if key == "k" else None for key in rules]
        rows.append(["convention", name, finite(mean_of(values)), None, None, None, *own])
        if name in outcome.tie_orders:
            three = [finite(mean_of(one)) for one in outcome.tie_orders[name]]
            rows.append(["convention over tie orders", name, *three, None, *own])
    for key, test in (against[1] if against else {}).items():
        found = [finite(one) for one in (test.difference, test.low, test.high, test.p_value)]
        rows.append(["difference", key, *found, *rules.values()])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["kind", "name", "value", "low", "high", "p_value", *rules]
    writer.writerow(["file", "bits", "queries", "database", *head])
    writer.writerows(rounded_all([*facts, *row]) for row in rows)
    return text.getvalue()


def per_query_csv(outcome: ScoredCodes) -> str:
    """One row per query: its id (or position) and every score; empty where the rules skip it."""
    columns = outcome.evaluation.per_query
    ids = outcome.codes.ids[0]
    queries = outcome.evaluation.queries
    names = list(range(queries)) if ids is None or ids.shape != (queries,) else ids.tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", *columns])
    for at, name in enumerate(names):
        row = (column[at] for column in columns.values())
        writer.writerow([name, *("" if value != value else repr(rounded(float(value))) for value in row)])
    return text.getvalue()
