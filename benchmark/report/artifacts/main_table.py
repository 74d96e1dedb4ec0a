"""Table 1: mAP by method and bits, at full labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.metrics import METRICS
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_intervals
from benchmark.report.figures.style import COLUMN, inches, legend_below, rows_span
from benchmark.report.groups import Group, is_variant
from benchmark.report.map_table import map_sheet
from benchmark.report.tables.cells import Drawn, Figure, Sheet
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """A table and a figure per data set, protocol, budget, selection; declared variants stand in the ablation."""
    sheets, figures, gaps = [], [], []
    for group in ctx.main_groups:
        records = group.of(lambda record: not is_variant(record.spec.method))
        if not records:
            continue
        rows, columns = rows_of(records), sorted({record.spec.bits for record in records})
        sheets.append(main_table(ctx, group))
        if any(record.score() is not None for record in records):
            figures.append(_figure(group, rows))
        gaps += ctx.missing(group, rows, columns)
    if not sheets:
        gaps.append(ctx.no_records("a fit at full labels", "paper-main"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _figure(group: Group, rows: dict[str, list[Record]]) -> Figure:
    """mAP against bits; of one code length, mAP by method."""
    curves: dict[str, dict[float, list[float]]] = {}
    for name, members in rows.items():
        for record in members:
            if (value := record.score()) is not None:
                curves.setdefault(name, {}).setdefault(float(record.spec.bits), []).append(value)
    lengths = {bits for points in curves.values() for bits in points}
    against = "code length" if len(lengths) > 1 else f"method, {min(lengths, default=0):g} bits"

    def draw() -> Any:
        from matplotlib import pyplot

        height = 2.6 if len(lengths) > 1 else 0.6 + 0.16 * max(4, rows_span(list(curves)))
        figure, axes = pyplot.subplots(figsize=(inches(COLUMN), height), layout="constrained")
        draw_intervals(axes, curves)
        if len(lengths) > 1:
            legend_below(figure, [axes])
        return figure

    return Figure(
        name=f"map-{group.slug}",
        title=f"mAP by {against}: {group.title}",
        caption="Mean over seeds; bars are Student's 95 % intervals of the mean, none for one seed. The "
        "numbers are those of the table. The axis begins where the values do.",
        draw=draw,
    )


def main_table(ctx: Context, group: Group) -> Sheet:
    """mAP of one of the main groups: methods by bits. Made once: its tests take a while."""
    if group.slug not in ctx.main_tables:
        ctx.main_tables[group.slug] = _sheet(ctx, group)
    return ctx.main_tables[group.slug]


def _sheet(ctx: Context, group: Group) -> Sheet:
    rows = rows_of(group.of(lambda record: not is_variant(record.spec.method)))
    bits = sorted({record.spec.bits for records in rows.values() for record in records})
    return map_sheet(
        ctx,
        group,
        rows,
        [(f"{one} bits", _at(one)) for one in bits],
        name=f"table1-{group.slug}",
        title=f"{METRICS['map'].label}: {group.title}",
    )


def _at(bits: int) -> Callable[[Record], bool]:
    def keep(record: Record) -> bool:
        return record.spec.bits == bits

    return keep


ARTIFACT = Artifact(
    name="table1",
    aliases=("main",),
    title="mAP by method and code length",
    needs="fits at full labels of several methods; several seeds for a spread",
    suite="paper-main",
    order=10,
    build=build,
)
