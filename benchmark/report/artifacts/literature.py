"""Our numbers beside published ones: joined under one protocol, shown apart under another, never mixed."""

from __future__ import annotations

from collections import Counter

from benchmark.data.protocol import PROTOCOLS
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.groups import Group, is_plain
from benchmark.report.map_table import group_facts
from benchmark.report.published import (
    Published,
    barriers,
    differences,
    read_published,
    same_images,
    same_method,
)
from benchmark.report.selections import ranked
from benchmark.report.tables.cells import Cell, Drawn, Gap, Sheet, cell_of, text_cell
from benchmark.store.record import Record

_HEAD = (
    "method",
    "bits",
    "source",
    "ours",
    "published",
    "ours - published",
    "may differ by",
    "source checked",
)


def build(ctx: Context) -> Drawn:
    """For each data set and protocol: one table of joined numbers, and one of those that must not be joined."""
    published = read_published(ctx.published)
    sheets, shared = [], False
    for group in ctx.main_groups:
        joined, apart = list[tuple[Cell, ...]](), list[tuple[Cell, ...]]()
        rows = rows_of(group.records)
        for records in (rows[name] for name in ranked(group.records)):
            for bits in sorted({record.spec.bits for record in records}):
                own = [r for r in records if r.spec.bits == bits and r.state == "done" and is_plain(r)]
                for theirs in _candidates(own, published):
                    why = barriers(own[0], theirs)
                    (apart if why else joined).append(_row(ctx, group, own, theirs, why))
        shared = shared or bool(joined)
        sheets += [_sheet(group, rows, same) for rows, same in ((joined, True), (apart, False)) if rows]
    gaps: list[Gap] = []
    if not shared:
        gaps.append(
            Gap(
                "no published number has the method, data set, code length and protocol of a record here",
                ctx.suite_command("paper-main") + _usual_protocol(published),
            )
        )
    return Drawn(tuple(sheets), (), tuple(gaps))


def _usual_protocol(published: list[Published]) -> str:
    """The flags of the protocol of single-label sets that most published numbers are of; empty without numbers."""
    named = (PROTOCOLS[one.protocol] for one in published if one.protocol in PROTOCOLS)
    counts = Counter(one.name for one in named if one.draw == "per-class" and one.datasets)
    if not counts:
        return ""
    name = counts.most_common(1)[0][0]
    return f" --protocol {name} --datasets {PROTOCOLS[name].datasets[0]}   # and others"


def _candidates(own: list[Record], published: list[Published]) -> list[Published]:
    if not own:
        return []
    spec = own[0].spec
    alike = [p for p in published if p.bits == spec.bits and same_method(spec.method, p)]
    found = [p for p in alike if same_images(spec.dataset, p)]
    return sorted(found, key=lambda p: (p.protocol, p.metric, p.source, p.value))


def _row(
    ctx: Context, group: Group, own: list[Record], theirs: Published, why: list[str]
) -> tuple[Cell, ...]:
    ours = cell_of(own, lambda record: record.score("map"), len(group.seeds), ctx.stale)
    mark = "" if theirs.verified else " (unverified)"
    there = Cell(values=(theirs.value,), planned=1, label=f"{theirs.value:.4g}{mark}")
    change = Cell(label="not comparable") if why else Cell(label="–")
    if not why and ours.mean is not None:
        change = Cell(
            values=(ours.mean - theirs.value,),
            planned=1,
            label=f"{ours.mean - theirs.value:+.4f}",
            fits=ours.fits,
        )
    reasons = "; ".join([*why, *differences(own[0], theirs)])
    checked = "yes" if theirs.verified else "no: recalled, unverified"
    key = (text_cell(own[0].spec.method), text_cell(own[0].spec.bits), text_cell(theirs.source))
    return (*key, ours, there, change, text_cell(reasons), text_cell(checked))


def _sheet(group: Group, rows: list[tuple[Cell, ...]], same: bool) -> Sheet:
    kind = "the same protocol" if same else "other protocols: not comparable"
    notes = (
        "published: as the source gives it, see results/published.csv; (unverified): recalled, not looked up",
        "rows are joined on method, image collection, code length, split and cut-off"
        if same
        else "the split, the cut-off or the pixels differ, as each row says; no difference is taken",
        *group.captions,
    )
    return Sheet(
        name=f"literature-{'same' if same else 'other'}-{group.slug}",
        title=f"Beside published numbers, {kind}: {group.title}",
        head=_HEAD,
        rows=tuple(rows),
        notes=notes,
        keys=3,
        metric="map",
        facts=group_facts(group),
    )


ARTIFACT = Artifact(
    name="literature",
    title="Against the literature",
    needs="fits under a protocol that results/published.csv has numbers of",
    suite="paper-main",
    order=18,
    build=build,
)
