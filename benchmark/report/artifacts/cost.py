"""What a method costs: training time, encoding speed, memory, parameters; and quality against cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import joined, length_panels, log_x
from benchmark.report.figures.style import full_scale, label, legend_below, style
from benchmark.report.groups import Group, is_variant
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.selections import ranked
from benchmark.report.tables.cells import Cell, Drawn, Figure, Sheet, cell_of, text_cell
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """For each data set, protocol and budget: one table for each code length, and one figure."""
    sheets, figures = list[Sheet](), []
    for group in ctx.main_groups:
        found: dict[int, Sheet] = {}
        done = group.of(lambda r: r.state == "done" and not is_variant(r.spec.method))
        for bits in sorted({r.spec.bits for r in done}):
            found[bits] = _sheet(ctx, group, tuple(r for r in done if r.spec.bits == bits), bits)
        sheets += found.values()
        several = {
            bits: one for bits, one in found.items() if sum(bool(row[1].values) for row in one.rows) > 1
        }
        if several:
            figures.append(_figure(group, several, ranked(done)))
    gaps = () if sheets else (ctx.no_records("a finished fit", "paper-main"),)
    return Drawn(tuple(sheets), tuple(figures), gaps)


def _fact(name: str) -> Callable[[Record], float | None]:
    def value(record: Record) -> float | None:
        found = record.facts.get(name)
        return float(found) if isinstance(found, int | float) else None

    return value


_COLUMNS: tuple[tuple[str, Callable[[Record], float | None], int], ...] = (
    ("mAP", lambda record: record.score(), 4),
    ("train s", lambda record: record.timings.train, 1),
    ("encode images/s", lambda record: record.timings.encode_images_per_second, 0),
    ("peak MiB", lambda record: record.peak_memory_mib or None, 0),
    ("GPU MiB", lambda record: record.peak_gpu_memory_mib, 0),
    ("parameters", _fact("parameters"), 0),
    ("in training", _fact("parameters_in_training"), 0),
)


def _sheet(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Sheet:
    body = []
    for name, members in sorted(rows_of(records).items()):
        cells = [cell_of(members, value, len(members), ctx.stale, digits) for _, value, digits in _COLUMNS]
        body.append((text_cell(name), *(cells[:1] + [_mean_only(cell) for cell in cells[1:]])))
    always = (1, 2)  # the figure's
    every = [p for p in range(1, len(_COLUMNS) + 1) if p in always or any(row[p].values for row in body)]
    return Sheet(
        name=f"cost-{bits}b-{group.slug}",
        title=f"Cost: {group.title}, {bits} bits",
        head=("method", *(_COLUMNS[place - 1][0] for place in every)),
        rows=tuple((row[0], *(row[place] for place in every)) for row in body),
        notes=(
            "means over seeds; seconds and images a second are of the hardware named below, whatever else "
            "it was doing; "
            "parameters: those that encoding needs, and all that were trained",
            *common_notes(group.captions, records),
        ),
        metric="cost",
        facts=group_facts(group),
        score="mAP",
    )


def _mean_only(cell: Cell) -> Cell:
    """The mean without its deviation: times vary with the machine's other work, not with the method."""
    text = "–" if cell.mean is None else f"{cell.mean:,.{cell.digits}f}"
    return Cell(values=cell.values, planned=cell.planned, fits=cell.fits, digits=cell.digits, label=text)


def _figure(group: Group, sheets: dict[int, Sheet], order: list[str]) -> Figure:
    """order: of the rows in the legend."""
    points = {bits: [(row[0].text, row[2].mean, row[1].mean) for row in sheets[bits].rows] for bits in sheets}
    lengths = list(sheets)

    def draw() -> Any:
        rows = -(-max(map(len, points.values())) // 3)
        height = 2.0 + 0.13 * rows if len(lengths) == 1 else 2.0
        figure, panels = length_panels(lengths, height, "training seconds", "mAP")
        for axes, bits in zip(panels, lengths):
            for name, x, y in points[bits]:
                if x is not None and y is not None:
                    axes.plot(
                        [max(x, 1e-3)], [y], label=label(name), **{**style(name), "linestyle": "none"}, ms=5
                    )
        log_x(panels[0])
        full_scale(panels[0], ylim=(0, 1.02))
        legend_below(figure, panels, columns=3 if len(lengths) == 1 else 6, order=order)
        return figure

    shown = joined(lengths, ", ")
    return Figure(
        name=f"quality-cost-{joined(lengths, '-')}b-{group.slug}",
        title=f"Quality against cost, {group.title}, {shown} bits",
        caption=f"mAP against training seconds: {group.title}, {shown} bits; means over seeds. "
        f"{'; '.join(group.captions)}",
        draw=draw,
    )


ARTIFACT = Artifact(
    name="cost",
    title="Cost, and quality against cost",
    needs="finished fits",
    suite="paper-main",
    order=110,
    build=build,
)
