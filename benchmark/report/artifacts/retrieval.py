"""The ten nearest database images of a few queries, hits and misses marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import registry
from benchmark.contracts import VECTORS
from benchmark.data.load import load
from benchmark.errors import InputError
from benchmark.files.places import data_root
from benchmark.report.artifact import Artifact
from benchmark.report.artifacts.precision_recall import all_picked
from benchmark.report.context import Context
from benchmark.report.figures.style import PAGE, inches, label
from benchmark.report.groups import Group
from benchmark.report.selections import pick
from benchmark.report.tables.cells import Drawn, Figure, Gap
from benchmark.store.record import Record

_QUERIES, _TOP, _METHODS = 4, 10, 2


def build(ctx: Context) -> Drawn:
    """One figure per main group: its best methods on the first query of each of the first classes.

    Needs the images: data sets that are not decoded on this machine are gaps.
    """
    figures, gaps = [], list[Gap]()
    groups = [group for group in ctx.main_groups if group.spec.backbone != VECTORS]  # which show nothing
    for group in groups:
        picked = pick(group)
        names = sorted(picked, key=lambda name: (-(picked[name].score() or 0.0), name))[:_METHODS]
        found = {name: top for name in names if (top := _nearest(ctx, picked[name])) is not None}
        if not found:
            continue
        if _cached(group, next(iter(picked.values()))) is None:
            command = f"python -m benchmark prepare {group.dataset}   # then the same report again"
            gaps.append(
                Gap(f"{group.title}: the images of {group.dataset}, which are not decoded here", command)
            )
        else:
            figures.append(_figure(group, found, picked))
    if not figures and not gaps:
        gaps.append(ctx.no_records("stored codes of images", "paper-codes"))
    return Drawn((), tuple(figures), tuple(gaps))


def _cached(group: Group, record: Record) -> NDArray[np.uint8] | None:
    """The decoded images, if this machine has the very ones that the record was measured on."""
    try:
        dataset = registry.dataset(group.dataset)
        loaded = load(dataset, data_root(None))
    except (InputError, OSError):
        return None
    return loaded.images if loaded.fingerprint == record.spec.fingerprint else None


def _nearest(ctx: Context, record: Record) -> list[tuple[int, list[tuple[int, bool]]]] | None:
    """(query id, [(database id, hit)]) of the chosen queries, ties in database order; None without codes."""
    try:
        codes = ctx.store.codes(record.spec)
        queries, items = codes["query_codes"], codes["database_codes"]
        labels, others = codes["query_labels"], codes["database_labels"]
        ids, item_ids = codes["query_ids"], codes["database_ids"]
    except (InputError, KeyError):
        return None
    if labels.ndim != 1:
        return None
    found = []
    for shown in np.unique(labels)[:_QUERIES]:
        query = int(np.flatnonzero(labels == shown)[0])
        distances = np.bitwise_count(items ^ queries[query]).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")
        nearest = nearest[item_ids[nearest] != ids[query]][:_TOP]
        found.append((int(ids[query]), [(int(item_ids[i]), bool(others[i] == shown)) for i in nearest]))
    return found


def _figure(
    group: Group, found: dict[str, list[tuple[int, list[tuple[int, bool]]]]], picked: dict[str, Record]
) -> Figure:
    first = next(iter(picked.values()))

    def draw() -> Any:
        from matplotlib import pyplot

        images = _cached(group, first)
        if images is None:
            raise InputError(f"the images of {group.dataset} went away")
        rows = [(name, query, top) for name, tops in found.items() for query, top in tops]
        size = images.shape[2:]
        canvas = _tiles(images, [[query, *(row for row, _ in top)] for _, query, top in rows])
        height = inches(PAGE) * canvas.shape[0] / canvas.shape[1]
        figure, axes = pyplot.subplots(figsize=(inches(PAGE), height), layout="constrained")
        axes.imshow(canvas, interpolation="nearest")
        for row, (_, _, top) in enumerate(rows):
            for place, (_, hit) in enumerate(top, start=1):
                axes.add_patch(_frame(_corner(size, row, place), size, hit))
        names = [label(name.split(" (")[0]) for name, _, _ in rows]
        middles = [_corner(size, row, 0)[0] + size[0] / 2 for row in range(len(rows))]
        axes.set_yticks(middles, names, fontsize=6)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        return figure

    spec = first.spec
    return Figure(
        name=f"retrieval-{spec.bits}b-{group.slug}",
        title=f"Top {_TOP}, {group.title}, {spec.bits} bits",
        caption=f"The first query of each of the first {_QUERIES} classes (left) and its {_TOP} nearest "
        f"database images, ties in "
        f"database order: solid frames are hits, dashed ones misses. {group.title}, {spec.bits} bits, seed "
        f"{spec.seed}. "
        "Examples, not a measurement.",
        draw=draw,
    )


def _corner(size: Sequence[int], row: int, place: int) -> tuple[int, int]:
    """(top, left) of a tile of `size` (height, width): a quarter of it apart, the query (place 0) twice that from
    the others.
    """
    high, wide = size
    gap = max(2, min(size) // 4)
    return gap // 2 + row * (high + gap), gap // 2 + place * (wide + gap) + (gap if place else 0)


def _tiles(images: NDArray[np.uint8], rows: list[list[int]]) -> NDArray[np.uint8]:
    """Rows of images (n, channels, height, width) as one picture (height, width, 3) on white: one picture draws in
    a tenth of the time of as many panels.
    """
    high, wide = size = images.shape[2:]
    canvas = np.full((*_corner(size, len(rows), _TOP + 1), 3), 255, dtype=np.uint8)
    for row, members in enumerate(rows):
        for place, member in enumerate(members):
            top, left = _corner(size, row, place)
            canvas[top : top + high, left : left + wide] = images[member].transpose(1, 2, 0)
    return canvas


def _frame(corner: tuple[int, int], size: Sequence[int], hit: bool) -> Any:
    """The frame of a hit or of a miss, told by its line as well as by its colour."""
    from matplotlib.patches import Rectangle

    look: dict[str, Any] = {"ec": "#0072B2", "lw": 1.2} if hit else {"ec": "#D55E00", "lw": 2.0, "ls": "--"}
    (top, left), (high, wide) = corner, size
    return Rectangle((left - 0.5, top - 0.5), wide, high, fill=False, **look)


ARTIFACT = Artifact(
    name="retrieval",
    aliases=("top10",),
    title="Top-10 retrievals",
    needs="stored codes, and the data set decoded on this machine",
    suite="paper-codes",
    order=85,
    build=build,
    codes=lambda ctx: all_picked(ctx, _METHODS),
)
