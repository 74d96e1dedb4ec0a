"""Figure 4: mAP of the hash head, accuracy of the class head and distance of the samples, over training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.panels import draw_lines
from benchmark.report.figures.style import COLUMN, inches, legend_below, on_paper
from benchmark.report.groups import Group
from benchmark.report.map_table import by_score, group_facts
from benchmark.report.selections import base_of
from benchmark.report.series import Curves, map_curves, points_sheet
from benchmark.report.tables.cells import Cell, Drawn, Figure, Gap, Sheet, cell_of, text_cell
from benchmark.spec import suites
from benchmark.store.record import Record

_FIELDS = {
    "map": "mAP",
    "accuracy": "accuracy",
    "label_f1": "label F1",
    "fd_generated": "FD, generated",
    "fd_revised": "FD, after MCMC",
    "fid_generated": "FID, generated",
    "fid_revised": "FID, after MCMC",
}
#: What the table of generated images shows of the last look; `_generated` and `_revised` are appended.
_MEASURES = {
    "fd": "FD",
    "diversity": "diversity",
    "density": "density",
    "coverage": "coverage",
    "asked_class": "asked class",
    "energy_gap": "energy gap",
}
_CHAIN = {"chain_raises_f": "chains that raise f", "chain_distance": "chain distance"}
_NOTE = (
    "after the last update, before and after MCMC. FD: Fréchet distance in a classifier's features; diversity: "
    "per-pixel deviation over that of real images within a class; density, coverage: Naeem et al. 2020, in the "
    "same features; asked class: share that the classifier, which is no part of any training, gives the class "
    "asked for; energy gap: mean f less that of real images; chain distance: mean move of a pixel in [-1, 1]"
)


def build(ctx: Context) -> Drawn:
    """Two figures for each data set and bits: against updates, and against training seconds."""
    figures, gaps, sheets = [], list[Gap](), list[Sheet]()
    for group in ctx.main_groups:
        for bits in sorted({r.spec.bits for r in group.records}):
            drawn = tuple(
                r for r in group.at(bits) if r.curve and r.curve[-1].diversity_generated is not None
            )
            sheets += [_generation(ctx, group, drawn, bits)] if drawn else []
        seen = {(r.spec.method, r.spec.bits) for r in group.records if _measured(r)}
        pairs = sorted({(base_of(method) or method, bits) for method, bits in seen})
        for base, bits in pairs:
            family = {base, *_counterparts()}
            records = tuple(r for r in group.at(bits) if r.spec.method in family and r.curve)
            if len({r.spec.method for r in records}) > 1:
                figures += [_figure(group, records, base, bits, x) for x in ("step", "seconds")]
    if not figures:
        gaps.append(ctx.no_records("curves of the class head and the samples", "paper-curves"))
    return Drawn(tuple(sheets), tuple(figures), tuple(gaps))


def _generation(ctx: Context, group: Group, records: tuple[Record, ...], bits: int) -> Sheet:
    """How images are generated at the last look, a method a row, the best mAP first, the mean over seeds."""
    columns = {
        f"{name}{end}": f"{key}_{when}"
        for key, name in _MEASURES.items()
        for when, end in (("generated", ""), ("revised", ", after"))
    } | {name: key for key, name in _CHAIN.items()}
    rows, parts = [], rows_of(records)
    scores = {name: [_last(members, "map", 1, ctx.stale)] for name, members in parts.items()}
    for name in by_score(scores):
        members = parts[name]
        planned = len({r.spec.seed for r in members})
        rows.append((text_cell(name), *(_last(members, key, planned, ctx.stale) for key in columns.values())))
    return Sheet(
        name=f"generation-{bits}b-{group.slug}",
        title=f"Generated images: {group.title}, {bits} bits",
        head=("method", *columns),
        rows=tuple(rows),
        notes=(_NOTE, *group.captions),
        facts=group_facts(group),
    )


def _last(members: Iterable[Record], key: str, planned: int, stale: set[str]) -> Cell:
    return cell_of(
        members, lambda r: getattr(r.curve[-1], key) if r.curve else None, planned, stale, digits=3
    )


def _counterparts() -> set[str]:
    """The methods of Figure 4, as its suite names them."""
    return set(suites.read("paper-curves")["methods"])


def _measured(record: Record) -> bool:
    """Whether more than mAP was measured along the training."""
    return any(point.accuracy is not None or point.fd_generated is not None for point in record.curve)


def _figure(group: Group, records: tuple[Record, ...], base: str, bits: int, against: str) -> Figure:
    hashing = tuple(r for r in records if "curve_map" not in r.facts)
    series: dict[str, Curves] = {"map": map_curves(hashing, "map", against)}
    for field in list(_FIELDS)[1:]:
        curves = map_curves(records, field, against)
        if curves:
            series[field] = curves
    x = "updates" if against == "step" else "training seconds"
    name = f"figure4-{'updates' if against == 'step' else 'time'}-{base}-{bits}b-{group.slug}"

    def draw() -> Any:
        from matplotlib import pyplot

        count, height = len(series), 1.05 if on_paper() else 1.25
        figure, panels = pyplot.subplots(
            count,
            1,
            figsize=(inches(COLUMN), 0.5 + height * count),
            layout="constrained",
            sharex=True,
            squeeze=False,
        )
        for axes, (field, curves) in zip(panels[:, 0], series.items()):
            draw_lines(axes, curves)
            axes.set_ylabel(_FIELDS[field])
            if field not in ("map", "accuracy", "label_f1"):  # those differ in their last hundredths
                axes.set_yscale("log")
        panels[-1][0].set_xlabel(x)
        legend_below(figure, panels[:, 0], columns=2)
        return figure

    facts = sorted(
        {
            f"{key}: {value}"
            for r in records
            for key, value in r.facts.items()
            if key.startswith("curve_") and key != "curve_map"
        }
    )
    return Figure(
        name=name,
        title=f"Heads over training, {group.title}, {bits} bits, by {x}",
        caption=f"mAP of the hash head, accuracy of the class head and distance of the generated images "
        f"against {x} "
        f"(the paper's Figure 4): {group.title}, {bits} bits; mean over seeds. {'; '.join(facts)}. "
        f"{'; '.join(group.captions)}",
        draw=draw,
        data=points_sheet(name, series, x, group),
    )


ARTIFACT = Artifact(
    name="heads",
    aliases=("figure4",),
    title="mAP, FID and accuracy over training",
    needs="fits with `--curve-metrics map,accuracy,fd` of a method and its single-task and GAN counterparts",
    suite="paper-curves",
    order=65,
    build=build,
)
