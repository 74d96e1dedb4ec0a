"""Retrieval with corrupted queries: mean corruption mAP, relative drop, and a heat map by corruption."""

from __future__ import annotations

import statistics
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_heat
from benchmark.report.figures.style import COLUMN, PAGE
from benchmark.report.groups import Group
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.statistics.robustness import (
    cells_of,
    mean_corruption_score,
    mean_drop,
    relative_drop,
)
from benchmark.report.tables.cells import Cell, Drawn, Figure, Gap, Sheet, cell_of, rank, text_cell
from benchmark.spec.views import COMMON, FAMILIES
from benchmark.store.record import Record

_SHORT = {"elastic_transform": "elastic", "jpeg_compression": "jpeg"}


def build(ctx: Context) -> Drawn:
    """One table and one heat map for each data set and bits that have corrupted views."""
    sheets, figures, gaps = [], [], list[Gap]()
    for group in ctx.main_groups:
        seen = group.of(lambda record: bool(cells_of(record)))
        for bits in sorted({record.spec.bits for record in seen}):
            every = group.at(bits, variants=False)
            have = tuple(record for record in every if cells_of(record))
            sheet, title = _sheet(ctx, group, have, bits), f"{group.title}, {bits} bits"
            sheets.append(sheet)
            figures.append(_figure(group, have, bits, title))
            gaps += _gaps(ctx, every, have, title)
    if not sheets:
        gaps.append(ctx.no_records("corrupted queries", "paper-corruption"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _sheet(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Sheet:
    rows, planned = rows_of(records), len({r.spec.seed for r in records})
    columns: list[tuple[str, Any, str]] = [
        ("clean", lambda record: record.score("map"), "max"),
        ("mean of 15", lambda record: mean_corruption_score(cells_of(record)), "max"),
        ("relative drop", mean_drop, "min"),
        *((family, _family(family), "max") for family in FAMILIES),
    ]
    found: list[dict[str, Cell]] = []
    for _, value, direction in columns:
        found.append(
            rank({name: cell_of(one, value, planned, ctx.stale) for name, one in rows.items()}, direction)
        )
    severities = sorted({level for r in records for levels in cells_of(r).values() for level in levels})
    notes = (
        f"mAP with corrupted queries against the clean database; severities "
        f"{', '.join(map(str, severities))}; mean over "
        "the fifteen common corruptions (Hendrycks and Dietterich 2019), and over each family's",
        "relative drop: (clean - mean) / clean, lower is better; best and second are underlined",
        *common_notes(group.captions, records),
    )
    return Sheet(
        name=f"corruption-{bits}b-{group.slug}",
        title=f"mAP of corrupted queries: {group.title}, {bits} bits",
        head=("method", *(head for head, _, _ in columns)),
        rows=tuple((text_cell(name), *(column[name] for column in found)) for name in sorted(rows)),
        notes=notes,
        metric="map",
        facts=group_facts(group),
    )


def _family(family: str) -> Any:
    common = [name for name in FAMILIES[family] if name in COMMON]
    return lambda record: mean_corruption_score(cells_of(record), common)


def _figure(group: Group, records: tuple[Record, ...], bits: int, title: str) -> Figure:
    rows = rows_of(records)
    names = [name for name in COMMON if any(name in cells_of(record) for record in records)]
    names += sorted({name for record in records for name in cells_of(record)} - set(names))

    def value(row: str, corruption: str) -> float | None:
        drops = []
        for record in rows[row]:
            clean, levels = record.score("map"), cells_of(record).get(corruption)
            drop = relative_drop(clean, statistics.fmean(levels.values())) if clean and levels else None
            drops += [] if drop is None else [drop]
        return statistics.fmean(drops) if drops else None

    body = tuple((text_cell(row), *(_plain(value(row, one)) for one in names)) for row in sorted(rows))
    data = Sheet(
        f"corruption-heat-{bits}b-{group.slug}", title, ("method", *names), body, metric="relative drop"
    )

    def draw() -> Any:
        from matplotlib import pyplot

        # Corruptions downwards: nineteen columns of numbers would touch each other.
        size = (COLUMN if len(rows) <= 12 else PAGE, 0.9 + 0.14 * len(names))
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        shown = [_SHORT.get(name, name).replace("_", " ") for name in names]
        grid = [[value(row, name) for row in sorted(rows)] for name in names]
        draw_heat(axes, shown, sorted(rows), grid, "relative drop")
        return figure

    caption = f"Relative drop of mAP by corruption, mean over severities and seeds: {title}. Lower is better."
    return Figure(data.name, f"Drop by corruption, {title}", caption, draw, data)


def _plain(value: float | None) -> Cell:
    return Cell(values=() if value is None else (value,), planned=1)


def _gaps(ctx: Context, every: tuple[Record, ...], have: tuple[Record, ...], title: str) -> list[Gap]:
    views = sorted(
        {score.view for record in have for score in record.scores if score.view.startswith("corruption:")}
    )
    gaps = []
    for name, records in sorted(rows_of(every).items()):
        lacking = [r for r in records if not {s.view for s in r.scores} >= set(views) and r.state == "done"]
        if lacking:
            spec, seeds = lacking[0].spec, sorted({r.spec.seed for r in lacking})
            command = ctx.command(spec, methods=[spec.method], seeds=seeds, views=["clean", *views])
            gaps.append(Gap(f"{title}: corrupted queries of {name}", command))
    return gaps


ARTIFACT = Artifact(
    name="corruption",
    aliases=("table3",),
    title="Retrieval with corrupted queries",
    needs="fits evaluated with `--views corruption:...`",
    suite="paper-corruption",
    order=30,
    build=build,
)
