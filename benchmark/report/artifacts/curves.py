"""Learning curves of every method: mAP and training loss against updates."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmark.errors import InputError
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_lines, joined
from benchmark.report.figures.style import COLUMN, PAGE, full_scale, inches, legend_below
from benchmark.report.groups import Group, is_variant
from benchmark.report.series import Curves, map_curves, points_sheet
from benchmark.report.tables.cells import Drawn, Figure
from benchmark.store.record import Record
from benchmark.store.store import Store

#: Stretches that a loss is averaged over.
_STRETCHES = 60


def build(ctx: Context) -> Drawn:
    """One figure per data set, protocol and budget, with a row for each code length."""
    figures = []
    for group in ctx.main_groups:
        curved = group.of(lambda r: bool(r.curve) and not is_variant(r.spec.method))
        figures += [found] if curved and (found := _figure(ctx, group, curved)) else []
    return Drawn((), tuple(figures), () if figures else (ctx.no_records("a learning curve", "paper-main"),))


def _figure(ctx: Context, group: Group, records: tuple[Record, ...]) -> Figure | None:
    """mAP and loss of fits with a curve: None of points alone; without the losses where none is kept."""
    lengths = sorted({record.spec.bits for record in records})
    at = {bits: tuple(r for r in records if r.spec.bits == bits) for bits in lengths}
    maps = {bits: map_curves(own) for bits, own in at.items()}
    losses = {bits: _losses(ctx.store, own) for bits, own in at.items()}
    lossy = any(losses.values())
    if not lossy and all(len(points) < 2 for rows in maps.values() for points in rows.values()):
        return None
    parts = {point.part for record in records for point in record.curve}
    by_label = all(r.protocol is None or "neighbours" not in r.protocol.definition for r in records)
    database = "evenly thinned" if by_label and group.selection != "peek" else "whole"
    scored = "the tuning split" if parts == {"tuning"} else f"the queries against the {database} database"
    why = "for the record only, never for selection" if group.selection == "last" else "and for selection"

    training = f", and the training loss{'' if len(lengths) == 1 else ' (not comparable between methods)'}"

    def draw() -> Any:
        from matplotlib import pyplot

        alone = len(lengths) == 1
        height = 2.9 if alone else 0.4 + 1.6 * len(lengths)
        loss = "training loss (not comparable)" if alone else "training loss"
        figure, grid = pyplot.subplots(
            len(lengths),
            1 + lossy,
            figsize=(inches(PAGE if lossy else COLUMN), height),
            layout="constrained",
            sharex="col",
            squeeze=False,
        )
        for row, bits in zip(grid, lengths):
            draw_lines(row[0], maps[bits])
            row[0].set(ylabel="mAP")
            full_scale(row[0], ylim=(0, 1))
            for right in row[1:]:
                draw_lines(right, losses[bits], markers=False)
                right.set(ylabel=loss)
                full_scale(right, ylim=(0, None))
            for axes in row:
                axes.set(xlabel="updates", title="" if alone else f"{bits} bits")
                axes.xaxis.label.set_visible(bits == lengths[-1])
        legend_below(figure, grid[:, 0], columns=6 if lossy else 3)
        return figure

    shown, name = joined(lengths, ", "), f"curve-{joined(lengths, '-')}b-{group.slug}"
    series = {"map" if len(lengths) == 1 else f"map at {bits} bits": maps[bits] for bits in lengths}
    return Figure(
        name=name,
        title=f"Learning curves, {group.title}, {shown} bits",
        caption=f"mAP of the sign codes on {scored}, scored during training {why}{training if lossy else ''}: "
        f"{group.title}, {shown} bits; mean over seeds. {'; '.join(group.captions)}",
        draw=draw,
        data=points_sheet(name, series, "updates", group),
    )


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
    curves=True,
)
