"""Retrieval with corrupted queries: mean corruption mAP, relative drop, and a heat map by corruption."""

from __future__ import annotations

import statistics
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_heat, heat_bar, joined
from benchmark.report.figures.style import COLUMN, PAGE, inches, label, on_paper
from benchmark.report.groups import Group
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.selections import ranked
from benchmark.report.statistics.robustness import (
    cells_of,
    mean_corruption_score,
    mean_drop,
    relative_drop,
)
from benchmark.report.tables.cells import Cell, Drawn, Figure, Gap, Sheet, cell_of, rank, text_cell, together
from benchmark.spec.corruptions import COMMON, FAMILIES
from benchmark.store.record import Record

_SHORT = {"elastic_transform": "elastic", "jpeg_compression": "jpeg"}


def build(ctx: Context) -> Drawn:
    """For each data set that has corrupted views: a table for each code length, and one figure of heat maps."""
    sheets, figures, gaps = [], [], list[Gap]()
    for group in ctx.main_groups:
        seen = group.of(lambda record: bool(cells_of(record)))
        maps: dict[int, tuple[Record, ...]] = {}
        for bits in sorted({record.spec.bits for record in seen}):
            every = group.at(bits, variants=False)
            have = tuple(record for record in every if cells_of(record))
            sheet, title = _sheet(ctx, group, have, bits), f"{group.title}, {bits} bits"
            sheets.append(sheet)
            maps |= {bits: have} if have else {}
            gaps += _gaps(ctx, every, have, title)
        if maps:
            figures.append(_figure(group, maps))
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
        score="clean",
    )


def _family(family: str) -> Any:
    common = [name for name in FAMILIES[family] if name in COMMON]
    return lambda record: mean_corruption_score(cells_of(record), common)


def _figure(group: Group, records: dict[int, tuple[Record, ...]]) -> Figure:
    found = [record for one in records.values() for record in one]
    lengths, rows = list(records), ranked(found)
    names = [name for name in COMMON if any(name in cells_of(record) for record in found)]
    names += sorted({name for record in found for name in cells_of(record)} - set(names))
    drops = {
        bits: {row: {name: _drop(members, name) for name in names} for row, members in rows_of(one).items()}
        for bits, one in records.items()
    }

    def draw() -> Any:
        # Corruptions downwards: nineteen columns of numbers would touch each other.
        shown = [_SHORT.get(name, name).replace("_", " ") for name in names]
        grids = {
            bits: [[drops[bits].get(row, {}).get(name) for row in rows] for name in names] for bits in lengths
        }
        return _heat_maps(shown, rows, grids)

    title = f"{group.title}, {joined(lengths, ', ')} bits"
    sheets = {}
    for bits, by_row in drops.items():
        body = tuple(
            (text_cell(row), *(_plain(by_row[row][one]) for one in names)) for row in rows if row in by_row
        )
        name = f"corruption-heat-{bits}b-{group.slug}"
        sheets[bits] = Sheet(name, title, ("method", *names), body, metric="relative drop")
    name = f"corruption-heat-{joined(lengths, '-')}b-{group.slug}"
    caption = f"Relative drop of mAP by corruption, mean over severities and seeds: {title}. Lower is better."
    return Figure(name, f"Drop by corruption, {title}", caption, draw, together(name, sheets))


def _drop(records: list[Record], corruption: str) -> float | None:
    """The mean relative drop over seeds; None without a record of that corruption."""
    drops = []
    for record in records:
        clean, levels = record.score("map"), cells_of(record).get(corruption)
        drop = relative_drop(clean, statistics.fmean(levels.values())) if clean and levels else None
        drops += [] if drop is None else [drop]
    return statistics.fmean(drops) if drops else None


def _heat_maps(names: list[str], rows: list[str], grids: dict[int, list[list[float | None]]]) -> Any:
    """A panel for each code length, side by side while their columns are wide enough, in one range of colours."""
    from matplotlib import pyplot

    width = inches(COLUMN if len(rows) * len(grids) <= 12 else PAGE)
    across = max(1, min(len(grids), (12 if width < PAGE else 30) // len(rows)))
    high = -(-len(grids) // across)
    shown = [label(row) for row in rows]
    # The methods' titles stand upright below, and may be long; a paper's letters are larger.
    longest = max(len(line) for name in shown for line in name.split("\n"))
    below, line = (0.5 + 0.068 * longest, 0.155) if on_paper() else (0.5 + 0.054 * longest, 0.14)
    size = (width, (below + line * len(names)) * high)
    figure, panels = pyplot.subplots(high, across, figsize=size, layout="constrained", squeeze=False)
    values = [one for grid in grids.values() for line in grid for one in line if one is not None]
    scale = (min(values, default=0.0), max(values, default=1.0))
    for number, (axes, (bits, grid)) in enumerate(zip(panels.flat, grids.items())):
        image = draw_heat(axes, names, shown, grid, scale)
        axes.tick_params(labelleft=number % across == 0, labelbottom=number + across >= len(grids))
        axes.set_title(f"{bits} bits" if len(grids) > 1 else "")
    for axes in panels.flat[len(grids) :]:
        axes.set_axis_off()
    heat_bar(list(panels.flat[: len(grids)]), image, "relative drop")
    return figure


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
            sweep = ctx.sweep(spec, [spec.method], seeds=seeds, views=["clean", *views])
            gaps.append(ctx.gap(f"{title}: corrupted queries of {name}", sweep))
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
