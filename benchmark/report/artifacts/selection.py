"""What choosing the epoch on the test queries adds: last, val and peek of the same method."""

from __future__ import annotations

from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.groups import Group, group_records
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.tables.cells import Cell, Drawn, Gap, Sheet, cell_of, text_cell
from benchmark.store.record import Record

_RULES = ("last", "val", "peek")


def build(ctx: Context) -> Drawn:
    """One table for each data set, protocol, budget and bits that was run under several selection rules."""
    sheets, gaps = [], list[Gap]()
    full = [
        r
        for r in ctx.records
        if r.spec.label_rule.full and not r.spec.label_noise and r.spec.class_split is None
    ]
    for group in group_records([r for r in full if r.spec.epochs is not None], vary=("selection",)):
        for bits in sorted({r.spec.bits for r in group.records if r.spec.selection != "last"}):
            records = group.at(bits)
            sheets.append(_sheet(ctx, group, records, bits))
            gaps += _gaps(ctx, group, records, bits)
    if not sheets:
        gaps.append(ctx.no_records("a selection rule beside `last`", "paper-selection"))
    return Drawn(tuple(sheets), (), tuple(gaps))


def _sheet(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Sheet:
    body = []
    for name, members in sorted(rows_of(records).items()):
        planned = len({r.spec.seed for r in members})
        by_rule = {rule: [r for r in members if r.spec.selection == rule] for rule in _RULES}
        cells = {rule: cell_of(by_rule[rule], _map, planned, ctx.stale) for rule in _RULES}
        body.append((text_cell(name), *cells.values(), _inflation(by_rule)))
    return Sheet(
        name=f"selection-{bits}b-{group.slug}",
        title=f"Selection inflation: {group.title}, {bits} bits",
        head=("method", *_RULES, "peek - last"),
        rows=tuple(body),
        notes=(
            "last: the model after the last update; val: best on images held out of training; peek: best on "
            "the test "
            "queries, as several public repositories report; peek - last: mean over the seeds that have both",
            *common_notes(group.captions, records),
        ),
        metric="map",
        facts={**group_facts(group), "selection": "last, val, peek"},
        score="last",
    )


def _map(record: Record) -> float | None:
    return record.score("map")


def _inflation(by_rule: dict[str, list[Record]]) -> Cell:
    pairs: dict[int, dict[str, Any]] = {}
    for rule in ("last", "peek"):
        for record in by_rule[rule]:
            if record.score("map") is not None:
                pairs.setdefault(record.spec.seed, {})[rule] = record
    both = [pair for pair in pairs.values() if len(pair) == 2]
    values = tuple(pair["peek"].score("map") - pair["last"].score("map") for pair in both)
    fits = tuple(pair[rule].fit_id for pair in both for rule in ("last", "peek"))
    return Cell(values=values, planned=len(values), fits=fits)


def _gaps(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> list[Gap]:
    gaps = []
    rules = [rule for rule in _RULES if any(r.spec.selection == rule for r in records)]
    for name, members in sorted(rows_of(records).items()):
        for rule in _RULES:
            seeds = sorted(
                {r.spec.seed for r in members} - {r.spec.seed for r in members if r.spec.selection == rule}
            )
            if seeds and (rule in rules or rule == "last"):
                spec = members[0].spec.model_copy(update={"selection": rule})
                shown = ", ".join(map(str, seeds))
                what = f"{group.title}, {bits} bits: {name} under selection {rule}, seeds {shown}"
                gaps.append(ctx.gap(what, ctx.sweep(spec, [spec.method], seeds=seeds)))
    return gaps


ARTIFACT = Artifact(
    name="selection",
    title="Selection inflation: last, val, peek",
    needs="fits of the same method with `--selection last`, `val` and `peek`",
    suite="paper-selection",
    order=100,
    build=build,
)
