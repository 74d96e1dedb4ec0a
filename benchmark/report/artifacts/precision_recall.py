"""Precision by recall, and precision of the first N, from stored codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.metrics import Rules, evaluate_stored
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.figures.panels import draw_lines
from benchmark.report.figures.style import PAGE, full_scale, inches, legend_below
from benchmark.report.groups import Group, row_name
from benchmark.report.selections import MOST_CODE_SETS, pick
from benchmark.report.series import Curves, points_sheet
from benchmark.report.tables.cells import Drawn, Figure, Gap
from benchmark.store.record import Record

#: N of precision@N goes up to here.
_FIRST = 1000


def build(ctx: Context) -> Drawn:
    """One figure per main group, at the code length that most methods have; the lowest seed stands for all."""
    figures, gaps = [], list[Gap]()
    for group in ctx.main_groups:
        chosen = pick(group)
        curves = {
            name: found for name, record in chosen.items() if (found := _curves(ctx, record)) is not None
        }
        if curves:
            figures.append(_figure(group, curves, [chosen[name] for name in curves]))
        for name in sorted(set(chosen) - set(curves)):
            spec = chosen[name].spec
            command = ctx.command(ctx.sweep(spec, [spec.method]), ["--retry", "all"])
            gaps.append(Gap(f"{group.title}: the codes of {name}", command))
    if not figures and not gaps:
        gaps.append(ctx.no_records("stored codes", "paper-codes"))
    return Drawn((), tuple(figures), tuple(gaps))


def all_picked(ctx: Context, most: int = MOST_CODE_SETS) -> list[Record]:
    """The records that `pick` takes from the main groups, at most so many of each, the highest mAPs first."""
    found = []
    for group in ctx.main_groups:
        chosen = pick(group)
        found += sorted(chosen.values(), key=lambda r: (-(r.score() or 0.0), row_name(r)))[:most]
    return found


def _curves(ctx: Context, record: Record) -> dict[str, np.ndarray] | None:
    if record.protocol is None:
        return None
    try:
        codes = ctx.store.codes(record.spec)
        rules = Rules(**{name: record.protocol.rules[name] for name in Rules.__dataclass_fields__})
        cutoffs = _cutoffs(len(codes["database_codes"]))
        wanted = {"metrics": ["precision"], "at": [1], "cutoffs": cutoffs}
        found = evaluate_stored(codes, int(codes["bits"]), rules, **wanted)
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return {**found.curves}


def _cutoffs(items: int) -> list[int]:
    steps = np.rint(np.geomspace(1, max(1, items), 40)).astype(int)
    return sorted({*steps.tolist(), *(n for n in range(100, _FIRST + 1, 100) if n <= items)})


def _figure(group: Group, curves: dict[str, dict[str, np.ndarray]], records: list[Record]) -> Figure:
    recall: Curves = {}
    ranks: Curves = {}
    for name, one in curves.items():
        for cutoff, precision, found in zip(one["cutoffs"], one["precision"].round(6), one["recall"]):
            recall.setdefault(name, {})[round(float(found), 6)] = [float(precision)]
            if cutoff <= _FIRST:
                ranks.setdefault(name, {})[float(cutoff)] = [float(precision)]
    bits, seeds = records[0].spec.bits, sorted({record.spec.seed for record in records})
    name, shown = f"precision-recall-{bits}b-{group.slug}", ", ".join(map(str, seeds))

    def draw() -> Any:
        from matplotlib import pyplot

        size = (inches(PAGE), 2.9)
        figure, (left, right) = pyplot.subplots(1, 2, figsize=size, layout="constrained", sharey=True)
        draw_lines(left, recall, markers=False)
        draw_lines(right, ranks, markers=False)
        left.set(xlabel="recall", ylabel="precision", xlim=(0, 1))
        full_scale(left, ylim=(0, 1.02))
        right.set(xlabel="N", ylabel="precision@N", xlim=(0, None))
        legend_below(figure, [left], columns=6)
        return figure

    return Figure(
        name=name,
        title=f"Precision and recall, {group.title}, {bits} bits",
        caption=f"Precision by recall (left) and of the first N (right), means over queries, ties averaged: "
        f"{group.title}, "
        f"{bits} bits, seed {shown}. {'; '.join(group.captions)}",
        draw=draw,
        data=points_sheet(name, {"precision@N": ranks}, "N", group),
    )


ARTIFACT = Artifact(
    name="precision-recall",
    aliases=("pr",),
    title="Precision-recall and precision@N",
    needs="stored codes (every run stores them)",
    suite="paper-codes",
    order=70,
    build=build,
    codes=all_picked,
)
