"""mAP against the labels that are shown: a share of them, or a number a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import Points, draw_lines, joined, length_panels
from benchmark.report.figures.style import full_scale, legend_below
from benchmark.report.groups import Group, is_variant
from benchmark.report.map_table import map_sheet
from benchmark.report.selections import share_groups, shares
from benchmark.report.tables.cells import Drawn, Figure, Gap, Sheet, together
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """For each data set and treatment of the images without a label: a table for each code length, and a figure."""
    sheets, figures, gaps = list[Sheet](), [], list[Gap]()
    for _, members in groupby(share_groups(ctx), key=lambda pair: pair[0].slug):
        found: dict[int, tuple[tuple[Record, ...], Sheet]] = {}
        for group, bits in members:
            records = _records(group, bits)
            found[bits] = records, _sheet(ctx, group, records, bits)
            gaps += _gaps(ctx, group, records, bits)
        sheets += [sheet for _, sheet in found.values()]
        figures.append(_figure(group, found))
    if not sheets:
        gaps.append(ctx.no_records("fits with fewer labels than all", "paper-scarcity"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _records(group: Group, bits: int) -> tuple[Record, ...]:
    """The records of one code length, of the rows that were run with fewer labels than all."""
    rows = rows_of(group.of(lambda record: record.spec.bits == bits))
    scarce = {name for name, found in rows.items() if any(not r.spec.label_rule.full for r in found)}
    return tuple(record for name in sorted(scarce) for record in rows[name])


def _sheet(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Sheet:
    columns = [(f"{share} ({number:,})", _share(share)) for share, number in shares(records)]
    return map_sheet(
        ctx,
        group,
        rows_of(records),
        columns,
        name=f"scarcity-{bits}b-{group.slug}",
        title=f"mAP by labels shown: {group.title}, {bits} bits",
        notes=[
            "columns: the share of the training labels that is shown, or labelled images a class (in "
            "brackets: labelled images in all)"
        ],
        planned=max(1, len({r.spec.seed for r in records})),
    )


def _share(share: str) -> Any:
    return lambda record: record.spec.label_rule.share == share


def _figure(group: Group, found: dict[int, tuple[tuple[Record, ...], Sheet]]) -> Figure:
    lengths = list(found)
    every = [record for records, _ in found.values() for record in records]
    whole = [record for record in every if not is_variant(record.spec.method)]
    left_out = "; variants stand in the table alone" if 0 < len(whole) < len(every) else ""
    curves = {bits: _curves(r for r in whole or every if r.spec.bits == bits) for bits in lengths}
    shown, name = joined(lengths, ", "), f"scarcity-{joined(lengths, '-')}b-{group.slug}"
    return Figure(
        name=name,
        title=f"mAP against labelled images, {group.title}, {shown} bits",
        caption=f"mAP against the number of labelled training images: {group.title}, {shown} bits; mean over seeds "
        f"with one standard deviation{left_out}. " + "; ".join(group.captions),
        draw=lambda: _draw(curves),
        data=together(name, {bits: sheet for bits, (_, sheet) in found.items()}),
    )


def _curves(records: Iterable[Record]) -> dict[str, dict[float, list[float]]]:
    """row -> labelled images -> the mAP of the seeds there."""
    curves: dict[str, dict[float, list[float]]] = {}
    for name, members in rows_of(records).items():
        for record in members:
            value = record.score("map")
            if value is not None and record.protocol is not None:
                curves.setdefault(name, {}).setdefault(float(record.protocol.labelled), []).append(value)
    return curves


def _draw(curves: Mapping[int, Mapping[str, Points]]) -> Any:
    lengths = list(curves)
    height = 2.6 if len(lengths) == 1 else 2.0
    figure, panels = length_panels(lengths, height, "labelled training images", "mAP")
    for axes, bits in zip(panels, lengths):
        draw_lines(axes, curves[bits])
    panels[0].set_xscale("log")
    ticks = sorted({x for rows in curves.values() for points in rows.values() for x in points})
    panels[0].set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    panels[0].minorticks_off()
    full_scale(panels[0], ylim=(0, None))
    legend_below(figure, panels, columns=3 if len(lengths) == 1 else 6)
    return figure


def _gaps(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> list[Gap]:
    gaps = []
    every = {(r.spec.label_rule.share, r.spec.seed): r.spec for r in records}
    for name, members in sorted(rows_of(records).items()):
        have = {(r.spec.label_rule.share, r.spec.seed) for r in members}
        for share in sorted({share for share, _ in every.keys() - have}):
            seeds = sorted(seed for own, seed in every.keys() - have if own == share)
            like = every[share, seeds[0]]
            sweep = ctx.sweep(like, [members[0].spec.method], seeds=seeds)
            shown = ", ".join(map(str, seeds))
            gaps.append(
                ctx.gap(
                    f"{group.title}, {bits} bits: {name} with {share} of the labels, seeds {shown}", sweep
                )
            )
    return gaps


ARTIFACT = Artifact(
    name="scarcity",
    aliases=("table2",),
    title="mAP against the labels shown",
    needs="fits of the same method at several label shares, or labels a class",
    suite="paper-scarcity",
    order=20,
    build=build,
)
