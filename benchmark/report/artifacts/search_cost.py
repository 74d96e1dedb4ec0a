"""What search with the codes costs, beside search with vectors: what `search-cost` measured."""

from __future__ import annotations

import json
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.figures.style import full_scale, inches, legend_below
from benchmark.report.tables.cells import Drawn, Figure, Sheet, number_cell, text_cell

_COLOURS = {"codes": "#0072B2", "vectors": "#D55E00"}
_MARKS = "osD^vPX*<>h"


def build(ctx: Context) -> Drawn:
    """A table and a figure for each fit that was measured."""
    sheets, figures = [], []
    for path in ctx.store.beside("search-cost"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            sheets.append(_sheet(told))
            figures.append(_figure(told))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half written, or by hand: what `search-cost` writes can be made again
    return Drawn(tuple(sheets), tuple(figures), ())


def _sheet(told: dict[str, Any]) -> Sheet:
    rows = tuple(
        (
            text_cell(row["name"]),
            number_cell(row["bytes"], digits=1),
            number_cell(row["per_second"], digits=0),
            number_cell(row["per_second_all"], digits=0),
            number_cell(row["per_second_deep"], digits=0),
            number_cell(row["recall"]),
            number_cell(row["map"]),
        )
        for row in told["rows"]
    )
    sizes = f"{told['items']:,} items, {told['queries']:,} queries"
    return Sheet(
        name=f"search-cost-{told['fit_id']}",
        title=f"Cost of search: {told['label']}",
        head=(
            "index",
            "bytes an item",
            "queries/s",
            f"with {told['threads']} threads",
            "for 100",
            "recall@10",
            "mAP@100",
        ),
        rows=rows,
        notes=(
            f"{sizes}; vectors: {told['vectors']}, {told['dimensions']} numbers; faiss {told['faiss']}, one thread "
            f"where no other number is named, {told['processor']}, medians of {told['repeats']}",
            "recall@10: the share of the exact ten nearest that an index finds, in the space that it searches "
            "(codes by Hamming distance, vectors by Euclidean); an item as near as the tenth counts. mAP@100: of "
            "the first hundred in the index's own order, of a search for as many: `for 100`, queries a second",
        ),
        metric="search cost",
        score="mAP@100",
    )


def _figure(told: dict[str, Any]) -> Figure:
    rows = [row for row in told["rows"] if row["map"] is not None] or told["rows"]
    quality = "map" if rows[0]["map"] is not None else "recall"

    def draw() -> Any:
        from matplotlib import pyplot

        figure, (left, right) = pyplot.subplots(
            1, 2, sharey=True, figsize=(inches(6.9), 3.2), layout="constrained"
        )
        marked = sorted(zip(_MARKS, rows), key=lambda pair: -pair[1][quality])  # the legend's order
        for mark, row in marked:
            look = {"marker": mark, "color": _COLOURS[row["space"]], "linestyle": "none", "ms": 6}
            left.plot([row["bytes"]], [row[quality]], label=row["name"], **look)
            right.plot(
                [1e3 / row["per_second_deep" if quality == "map" else "per_second"]],
                [row[quality]],
                label=row["name"],
                **look,
            )
        for axes, name in ((left, "bytes an item"), (right, "milliseconds a search, one thread")):
            axes.set_xscale("log")
            axes.set_xlabel(name)
        left.set_ylabel("mAP@100" if quality == "map" else "recall@10")
        full_scale(left, ylim=(0, 1.02))
        legend_below(figure, [left, right], columns=3)
        return figure

    return Figure(
        name=f"search-cost-{told['fit_id']}",
        title=f"Quality against the cost of search: {told['label']}",
        caption=f"Quality against bytes and against time: {told['label']}, {told['items']:,} items, one thread of "
        f"{told['processor']}",
        draw=draw,
    )


ARTIFACT = Artifact(
    name="search-cost",
    title="The cost of search",
    needs="what `search-cost FIT` measured",
    suite="quickstart",
    order=115,
    build=build,
)
