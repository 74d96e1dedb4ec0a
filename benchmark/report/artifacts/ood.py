"""Figure 2: retrieval out of distribution: classes never trained on, other data sets, novelty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_bars
from benchmark.report.figures.style import COLUMN, inches, rows_span
from benchmark.report.groups import Group, group_records, is_variant
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.selections import OOD_KINDS, ood_views
from benchmark.report.tables.cells import Cell, Drawn, Figure, Gap, Sheet, cell_of, in_order, rank, text_cell
from benchmark.store.record import Record

_CLEAN = "clean mAP"


def build(ctx: Context) -> Drawn:
    """One table and one figure per data set and bits; unseen classes are averaged over class splits and seeds."""
    sheets, figures, gaps = [], [], list[Gap]()
    full = [
        r
        for r in ctx.records
        if r.spec.label_rule.full and not r.spec.label_noise and not is_variant(r.spec.method)
    ]
    for group in group_records(full, vary=("class_split",)):
        for bits in sorted({r.spec.bits for r in group.records if ood_views(r)}):
            every = group.at(bits)
            columns = sorted({view for record in every for view in ood_views(record)})
            sheet = _sheet(ctx, group, every, columns, bits)
            sheets.append(sheet)
            figures.append(_figure(group, sheet, bits))
            gaps += _gaps(ctx, every, columns, f"{group.title}, {bits} bits")
    if not sheets:
        gaps.append(ctx.no_records("retrieval out of distribution", "paper-ood"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _sheet(
    ctx: Context, group: Group, records: tuple[Record, ...], columns: list[tuple[str, str]], bits: int
) -> Sheet:
    rows = {name: found for name, found in rows_of(records).items() if any(ood_views(r) for r in found)}
    heads = [_CLEAN, *(f"{view} {'AUROC' if metric == 'auroc' else 'mAP'}" for view, metric in columns)]
    values: list[Callable[[Record], float | None]] = [
        _clean,
        *(_score(view, metric) for view, metric in columns),
    ]
    if not any(_clean(record) is not None for members in rows.values() for record in members):
        heads, values = heads[1:], values[1:]
    found: list[dict[str, Cell]] = []
    for value in values:
        planned = max(sum(value(r) is not None for r in one) for one in rows.values())
        cells = {
            name: cell_of(
                [r for r in one if r.state == "failed" or value(r) is not None], value, planned, ctx.stale
            )
            for name, one in rows.items()
        }
        found.append(rank(cells))
    facts = sorted(
        {f"{view.view}: {view.text}" for r in records for view in r.views if view.view.startswith(OOD_KINDS)}
    )
    notes = (
        "unseen-classes: trained on some classes, queries and database of the others, mean over class "
        "splits and seeds; "
        "cross: queries of another set with shared classes; novelty: AUROC of the distance to the nearest "
        "database code",
        "underlined: best and second of a column",
        *facts,
        *common_notes(group.captions, records),
    )
    return Sheet(
        name=f"ood-{bits}b-{group.slug}",
        title=f"Out-of-distribution retrieval: {group.title}, {bits} bits",
        head=("method", *heads),
        rows=tuple((text_cell(name), *(column[name] for column in found)) for name in sorted(rows)),
        notes=notes,
        metric="map",
        facts=group_facts(group),
        score=heads[0],
    )


def _clean(record: Record) -> float | None:
    return record.score("map") if record.spec.class_split is None else None


def _score(view: str, metric: str) -> Callable[[Record], float | None]:
    return lambda record: record.score(metric, view)


def _figure(group: Group, sheet: Sheet, bits: int) -> Figure:
    places = [place for place, head in enumerate(sheet.head) if place and head != _CLEAN]
    rows = in_order(replace(sheet, score=sheet.head[places[0]])).rows  # in the order of what it shows
    names = [row[0].text for row in rows]
    views = "; ".join(note for note in sheet.notes[1:] if note.startswith(OOD_KINDS))

    def draw() -> Any:
        from matplotlib import pyplot

        height = 0.35 + (0.4 + 0.16 * rows_span(names)) * len(places)
        figure, panels = pyplot.subplots(
            len(places), 1, figsize=(inches(COLUMN), height), layout="constrained", squeeze=False
        )
        for axes, place in zip(panels[:, 0], places):
            draw_bars(axes, names, [row[place] for row in rows])
            view, metric = sheet.head[place].rsplit(" ", 1)
            axes.set_title(view, loc="left")
            axes.set_xlabel(metric)
            axes.set_xlim(0, None)
        return figure

    return Figure(
        name=f"figure2-{bits}b-{group.slug}",
        title=f"Out-of-distribution retrieval, {group.title}, {bits} bits",
        caption=f"Retrieval out of distribution (the paper's Figure 2): {group.title}, {bits} bits; mean "
        f"and standard "
        f"deviation over seeds and class splits.{' ' if views else ''}{views}",
        draw=draw,
        data=sheet,
    )


def _gaps(ctx: Context, records: tuple[Record, ...], columns: list[tuple[str, str]], title: str) -> list[Gap]:
    gaps = []
    for name, own in sorted(rows_of(records).items()):
        have = {pair for record in own for pair in ood_views(record)}
        lacking = [view for view, metric in columns if (view, metric) not in have]
        done = [record for record in own if record.state == "done"]
        if lacking and done:
            spec = done[0].spec
            seeds = sorted({record.spec.seed for record in done})
            gaps.append(
                ctx.gap(
                    f"{title}: {', '.join(lacking)} of {name}",
                    ctx.sweep(spec, [spec.method], seeds=seeds, views=lacking),
                )
            )
    return gaps


ARTIFACT = Artifact(
    name="ood",
    aliases=("figure2", "table4"),
    title="Out-of-distribution retrieval",
    needs="fits evaluated with `--views unseen-classes`, `cross:SET` or `novelty:SET`",
    suite="paper-ood",
    order=40,
    build=build,
)
