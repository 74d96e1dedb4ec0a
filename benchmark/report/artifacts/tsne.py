"""Figure 5: t-SNE of the sign codes of the queries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import registry
from benchmark.errors import InputError
from benchmark.files.places import data_root
from benchmark.metrics import unpack_codes
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.figures.style import COLOURS, MARKERS, PAGE, inches, label, legend_below, on_paper
from benchmark.report.groups import Group
from benchmark.report.selections import pick
from benchmark.report.tables.cells import Drawn, Figure, Gap, best_first
from benchmark.spec import suites
from benchmark.store.record import Record

_POINTS = 500


def build(ctx: Context) -> Drawn:
    """One figure for each main group that holds a method of the paper's figure."""
    methods = list(suites.read("paper-codes")["methods"])
    figures, gaps = [], list[Gap]()
    for group in ctx.main_groups:
        if group.selection != "last":
            continue
        picked = {r.spec.method: r for r in pick(group).values() if r.spec.method in methods}
        wanted = best_first({name: picked[name].score() if name in picked else None for name in methods})
        codes = {
            name: found
            for name in wanted
            if name in picked and (found := _codes(ctx, picked[name])) is not None
        }
        if codes:
            figures.append(_figure(group, codes, next(iter(picked.values()))))
            lacking = [name for name in wanted if name not in codes]
            like = next(iter(picked.values())).spec
            if lacking:
                gaps.append(
                    ctx.gap(f"{group.title}: codes of {', '.join(lacking)}", ctx.sweep(like, lacking))
                )
    if not figures:
        gaps.append(ctx.no_records("codes of the methods of Figure 5", "paper-codes"))
    return Drawn((), tuple(figures), tuple(gaps))


def _codes(ctx: Context, record: Record) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(-1/+1 codes, class indices) of evenly spaced queries; None without codes or for label sets."""
    try:
        found = ctx.store.codes(record.spec)
        bits = unpack_codes(found["query_codes"], int(found["bits"])).astype(np.float32) * 2 - 1
        labels = found["query_labels"]
    except (InputError, KeyError, TypeError, ValueError):
        return None
    if labels.ndim != 1 or len(bits) < 10:
        return None
    rows = np.linspace(0, len(bits) - 1, min(_POINTS, len(bits))).astype(int)
    return bits[rows], labels[rows]


def _embedded(bits: NDArray[Any]) -> NDArray[Any]:
    """Codes (n, bits) as places (n, 2)."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(bits) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=0, max_iter=500)
    with threadpool_limits(1):  # the other cores are drawing; so few points gain little from them
        return np.asarray(tsne.fit_transform(bits))


def _class_names(dataset: str) -> tuple[str, ...]:
    """The classes of a data set as it declares them; none for one that is not installed here."""
    try:
        return tuple(registry.find("datasets", dataset, data_root(None)).dataset_info.classes)
    except (InputError, OSError):
        return ()


def _class(names: tuple[str, ...], number: int) -> str:
    """A class in a legend: its name, dollar signs kept from being formulas; its number where it has none."""
    name = names[number].lstrip("_") if number < len(names) else ""
    return name.replace("$", r"\$") or str(number)


def _figure(group: Group, codes: dict[str, tuple[NDArray[Any], NDArray[Any]]], first: Record) -> Figure:
    # Here, not in `draw`: scikit-learn is loaded once, not by every process that draws.
    names = _class_names(first.spec.dataset)
    embedded = {name: (_embedded(bits), labels) for name, (bits, labels) in codes.items()}

    def draw() -> Any:
        from matplotlib import pyplot

        across = len(codes) if not on_paper() else min(len(codes), 2 if inches(PAGE) < PAGE else 3)
        rows = -(-len(codes) // across)
        size = (inches(PAGE * across / 3), 2.5 if rows == 1 else 1.9 * rows)
        figure, grid = pyplot.subplots(rows, across, figsize=size, layout="constrained", squeeze=False)
        for axes in grid.flat[len(codes) :]:
            axes.set_axis_off()
        for axes, (name, (places, labels)) in zip(grid.flat, embedded.items()):
            for number in np.unique(labels):
                own = places[labels == number]
                look = {"c": COLOURS[int(number) % 7], "marker": MARKERS[int(number) % len(MARKERS)]}
                axes.scatter(own[:, 0], own[:, 1], s=4, lw=0, label=_class(names, int(number)), **look)
            axes.set(title=label(name), xticks=[], yticks=[])
            axes.grid(visible=False)
        if on_paper():
            legend_below(figure, grid[0, :1], columns=5, markerscale=2, handletextpad=0.1)
            return figure
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, markerscale=2, handletextpad=0.1)
        return figure

    spec = first.spec
    return Figure(
        name=f"figure5-{spec.bits}b-{group.slug}",
        title=f"t-SNE of codes, {group.title}, {spec.bits} bits",
        caption=f"t-SNE (500 iterations, perplexity 30, PCA start, seed 0) of the sign codes of at most "
        f"{_POINTS} evenly "
        f"spaced queries, colour and marker by class (the paper's Figure 5): {group.title}, {spec.bits} bits, seed "
        f"{spec.seed}. Distances between clusters mean little in such a picture.",
        draw=draw,
        exact=False,
    )


ARTIFACT = Artifact(
    name="tsne",
    aliases=("figure5",),
    title="t-SNE of codes",
    needs="stored codes",
    suite="paper-codes",
    order=75,
    build=build,
)
