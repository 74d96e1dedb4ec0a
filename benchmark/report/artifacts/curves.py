"""Learning curves of every method: mAP and training loss against updates."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmark.errors import InputError
from benchmark.records import Record, Store
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.frame import Group
from benchmark.report.lines import draw_lines
from benchmark.report.mapsheet import group_facts
from benchmark.report.sheet import Cell, Drawn, Figure, Sheet, text_cell
from benchmark.report.style import PAGE, legend_below

Curves = dict[str, dict[float, list[float]]]
#: Stretches that a loss is averaged over.
_STRETCHES = 60


def build(ctx: Context) -> Drawn:
    """One figure per data set, protocol, budget and bits."""
    figures = []
    for group in ctx.main_groups:
        for bits in sorted({r.spec.bits for r in group.records if r.curve}):
            records = tuple(r for r in group.at(bits, variants=False) if r.curve)
            if records:
                figures.append(_figure(ctx, group, records, bits))
    return Drawn((), tuple(figures), () if figures else (ctx.no_records("a learning curve", "paper-main"),))


def map_curves(records: tuple[Record, ...], field: str = "map", against: str = "step") -> Curves:
    """row -> x -> the values of the seeds there; `against` is `step` or `seconds` (the mean time of that step)."""
    found: Curves = {}
    for name, members in rows_of(records).items():
        points: dict[int, list[tuple[float, float]]] = {}
        for record in members:
            for point in record.curve:
                value = getattr(point, field)
                if value is not None:
                    points.setdefault(point.step, []).append((point.seconds, value))
        for step, pairs in points.items():
            x = float(step) if against == "step" else statistics.fmean(seconds for seconds, _ in pairs)
            found.setdefault(name, {})[x] = [value for _, value in pairs]
    return found


def _figure(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Figure:
    maps, losses = map_curves(records), _losses(ctx.store, records)
    parts = {point.part for record in records for point in record.curve}
    scored = "the tuning split" if parts == {"tuning"} else "the queries against an evenly thinned database"
    why = "for the record only, never for selection" if group.selection == "last" else "and for selection"

    def draw() -> Any:
        from matplotlib import pyplot

        figure, (left, right) = pyplot.subplots(1, 2, figsize=(PAGE, 2.9), layout="constrained")
        draw_lines(left, maps)
        draw_lines(right, losses, markers=False)
        left.set(xlabel="updates", ylabel="mAP", ylim=(0, 1))
        right.set(xlabel="updates", ylabel="training loss (not comparable)", ylim=(0, None))
        legend_below(figure, [left], columns=6)
        return figure

    return Figure(
        name=f"curve-{bits}b-{group.slug}",
        title=f"Learning curves, {group.title}, {bits} bits",
        caption=f"mAP of the sign codes on {scored}, scored during training {why}, and the training loss: "
        f"{group.title}, {bits} bits; mean over seeds. {'; '.join(group.captions)}",
        draw=draw,
        data=points_sheet(f"curve-{bits}b-{group.slug}", {"map": maps}, "updates", group),
    )


def points_sheet(name: str, series: dict[str, Curves], x: str, group: Group) -> Sheet:
    """The points of a figure as a sheet: (line, x) by quantity."""
    keys = sorted(
        {(row, at) for curves in series.values() for row, points in curves.items() for at in points}
    )
    body = []
    for row, at in keys:
        cells = [Cell(values=tuple(curves.get(row, {}).get(at, ()))) for curves in series.values()]
        body.append((text_cell(row), text_cell(f"{at:g}"), *cells))
    return Sheet(name, name, ("method", x, *series), tuple(body), keys=2, facts=group_facts(group))


def _losses(store: Store, records: tuple[Record, ...]) -> Curves:
    """The first logged scalar (the total loss), averaged over about `_STRETCHES` stretches."""
    found: Curves = {}
    for name, members in rows_of(records).items():
        for record in members:
            try:
                rows = store.curve(record.spec)
            except InputError:  # a damaged curve is a gap, its record still counts
                continue
            names = [key for key in (rows[0] if rows else {}) if key != "step"]
            width = max(1, math.ceil(len(rows) / _STRETCHES))
            for start in range(0, len(rows) if names else 0, width):
                part = [row[names[0]] for row in rows[start : start + width] if names[0] in row]
                if part:
                    points = found.setdefault(name, {})
                    points.setdefault(float(rows[start]["step"]), []).append(statistics.fmean(part))
    return found


ARTIFACT = Artifact(
    name="curves",
    title="Learning curves",
    needs="gradient-trained fits (every run stores a curve)",
    suite="paper-main",
    order=60,
    build=build,
)
