"""Figure 3: a method without each of its parts, beside the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.declared_methods import known, titled, variants_of
from benchmark.report.figures.panels import draw_bars, joined, length_panels
from benchmark.report.figures.style import rows_span
from benchmark.report.groups import Group, is_plain, is_variant, row_name
from benchmark.report.map_table import common_notes, group_facts
from benchmark.report.selections import base_of, ranked, variant_pairs
from benchmark.report.tables.cells import (
    Cell,
    Drawn,
    Figure,
    Gap,
    Sheet,
    cell_of,
    number_cell,
    text_cell,
    together,
)
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """For each data set and base method that has variants: one table for each code length, and one figure."""
    sheets, figures, gaps = list[Sheet](), [], list[Gap]()
    for group in ctx.main_groups:
        wanted = {(base_of(r.spec.method), r.spec.bits) for r in group.records if is_variant(r.spec.method)}
        for base in sorted({base for base, _ in wanted if base}):
            found: dict[int, Sheet] = {}
            for bits in sorted(bits for its, bits in wanted if its == base):
                records = _members(group.at(bits), base)
                found[bits] = _sheet(ctx, group, records, base, bits)
                gaps += _gaps(ctx, group, records, base, bits)
            sheets += found.values()
            figures.append(_figure(group, found, base, list(_members(group.records, base))))
    if not sheets:
        gaps.append(ctx.no_records("a method without one of its parts", "paper-ablation"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _members(records: Iterable[Record], base: str) -> dict[str, list[Record]]:
    """Rows of the base and its variants, at their own defaults; the base's come first, then the best."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if base in (record.spec.method, base_of(record.spec.method)) and is_plain(record):
            found.setdefault(row_name(record), []).append(record)
    order = ranked(record for members in found.values() for record in members)
    order.sort(key=lambda name: found[name][0].spec.method != base)
    return {name: found[name] for name in order}


def _sheet(ctx: Context, group: Group, rows: dict[str, list[Record]], base: str, bits: int) -> Sheet:
    planned = max(len({r.spec.seed for r in records}) for records in rows.values())
    body, notes = [], []
    pairs = variant_pairs([record for records in rows.values() for record in records])
    for name in rows:
        cell = cell_of(rows[name], lambda record: record.score("map"), planned, ctx.stale)
        found = ctx.queries.compare(rows[name], pairs[name][0]) if name in pairs else None
        change = Cell(label="" if rows[name][0].spec.method == base else "–")
        if found is not None:
            change = replace(number_cell(found.difference, cell.fits), label=f"{found.difference:+.4f}")
            change = replace(change, note=found.text)
            notes.append(f"{titled(name)} minus {titled(base)}: {found.text}")
        interval = found.interval if found else ""
        body.append(
            (text_cell(name), text_cell(_title(rows[name][0].spec.method)), cell, change, text_cell(interval))
        )
    untrained = sorted(
        {
            f"{r.spec.method}: {r.facts['curve_map']}"
            for one in rows.values()
            for r in one
            if "curve_map" in r.facts
        }
    )
    every = [record for records in rows.values() for record in records]
    return Sheet(
        name=f"ablation-{base}-{bits}b-{group.slug}",
        title=f"{titled(base)} without its parts: {group.title}, {bits} bits",
        head=("method", "what", "mAP", "change", "95 % interval"),
        rows=tuple(body),
        notes=(*notes, *untrained, *common_notes(group.captions, every)),
        keys=2,
        metric="map",
        facts=group_facts(group),
    )


def _title(method: str) -> str:
    declared = known(method)
    return method if declared is None else declared.title


def _figure(group: Group, sheets: dict[int, Sheet], base: str, order: list[str]) -> Figure:
    lengths = list(sheets)
    cells = {bits: {row[0].text: row[2] for row in sheet.rows} for bits, sheet in sheets.items()}
    names = [name for name in order if any(name in own for own in cells.values())]

    def draw() -> Any:
        height = 0.5 + 0.18 * rows_span(names)
        figure, panels = length_panels(lengths, height, "mAP", "")
        for axes, bits in zip(panels, lengths):
            draw_bars(axes, names, [cells[bits].get(name, Cell()) for name in names])
            axes.set_xlim(0, None)
        return figure

    shown, name = joined(lengths, ", "), f"figure3-{base}-{joined(lengths, '-')}b-{group.slug}"
    return Figure(
        name=name,
        title=f"Ablation of {titled(base)}, {group.title}, {shown} bits",
        caption=f"mAP of {titled(base)} and of its declared variants (the paper's Figure 3, and the baselines of "
        f"its Figure 4): "
        f"{group.title}, {shown} bits; mean and standard deviation over seeds. " + "; ".join(group.captions),
        draw=draw,
        data=together(name, sheets),
    )


def _gaps(ctx: Context, group: Group, rows: dict[str, list[Record]], base: str, bits: int) -> list[Gap]:
    gaps = []
    like = next(record.spec for records in rows.values() for record in records)
    for name in (base, *variants_of(base)):
        lacking = sorted(
            set(group.seeds)
            - {r.spec.seed for records in rows.values() for r in records if r.spec.method == name}
        )
        if lacking:
            shown = ", ".join(map(str, lacking))
            sweep = ctx.sweep(like, [name], bits=[bits], seeds=lacking)
            gaps.append(ctx.gap(f"{group.title}, {bits} bits: {name}, seeds {shown}", sweep))
    return gaps


ARTIFACT = Artifact(
    name="ablation",
    aliases=("figure3",),
    title="A method without each of its parts",
    needs="fits of a method and of its declared variants",
    suite="paper-ablation",
    order=50,
    build=build,
)
