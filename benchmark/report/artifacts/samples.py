"""Generated images before and after MCMC, as the fit stored them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmark.data import pictures
from benchmark.errors import InputError
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.declared_methods import titled
from benchmark.report.figures.style import COLUMN, inches
from benchmark.report.groups import row_name
from benchmark.report.tables.cells import Drawn, Figure
from benchmark.store.record import Record

#: A grid is a few hundred kilobytes; anything larger is not one.
_MAX_BYTES = 32 * 2**20


def build(ctx: Context) -> Drawn:
    """The last grid of each fit that has one (the lowest seed of its kind)."""
    found: dict[tuple[str, ...], tuple[Record, Path]] = {}
    for record in sorted(ctx.done, key=lambda r: (r.spec.seed, r.fit_id)):
        grids = [path for path in ctx.store.samples(record.spec) if path.match("step-*.png")]
        spec = record.spec
        key = (
            spec.dataset,
            spec.label_rule.slug,
            str(spec.class_split),
            row_name(record),
            str(spec.epochs),
            str(spec.bits),
        )
        last = next((grid for grid in reversed(grids) if key not in found and _readable(grid)), None)
        if last is not None:
            found[key] = (record, last)
    figures = tuple(_figure(record, path, ctx.store.root) for _, (record, path) in sorted(found.items()))
    return Drawn((), figures, () if figures else (ctx.no_records("generated images", "paper-curves"),))


def _readable(grid: Path) -> bool:
    try:
        if grid.stat().st_size > _MAX_BYTES:
            return False
        pictures.read(grid, "RGB")
    except (OSError, InputError):  # a damaged grid is a gap
        return False
    return True


def _figure(record: Record, path: Path, root: Path) -> Figure:
    spec = record.spec
    step = re.sub(r"\D", "", path.stem)

    def draw() -> Any:
        import numpy as np
        from matplotlib import pyplot

        grid = np.asarray(pictures.read(path, "RGB"))
        height = inches(COLUMN) * grid.shape[0] / grid.shape[1]
        figure, axes = pyplot.subplots(figsize=(inches(COLUMN), height + 0.02), layout="constrained")
        axes.imshow(grid, interpolation="nearest")
        axes.axis("off")
        return figure

    return Figure(
        name=f"samples-{spec.dataset}-{spec.method}-{spec.bits}b-{record.fit_id[:8]}",
        title=f"Samples of {titled(row_name(record))}, {spec.dataset}",
        caption=f"Images that {row_name(record)} generates on {spec.dataset} after {int(step or 0):,} "
        f"updates, one column a "
        f"class; where MCMC revises them, each row of generated images is followed by the same after it. "
        f"Fit {record.fit_id}, seed {spec.seed}.",
        draw=draw,
        file=(Path("..") / path.relative_to(root)).as_posix(),
    )


ARTIFACT = Artifact(
    name="samples",
    title="Samples before and after MCMC",
    needs="fits with `--curve-metrics ...,samples` of a method that generates images",
    suite="paper-curves",
    order=80,
    build=build,
)
