"""Drawing pieces that several figures share: lines of means with bands, bars, heat maps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.figures.style import COLUMN, MARKERS, PAGE, inches, label, row_places, style
from benchmark.report.tables.cells import Cell, best_first

#: x -> the values there, one for each seed.
Points = Mapping[float, Sequence[float]]


def draw_lines(axes: Any, curves: Mapping[str, Points], *, markers: bool = True) -> None:
    """One line per name, the highest first: means, with a band of one standard deviation where there are several
    seeds.

    markers: on every point; else on a few, in turn, which tell the lines apart without their colours.
    """
    heights = {
        name: statistics.fmean(map(statistics.fmean, points.values())) for name, points in curves.items()
    }
    for name in best_first(heights):
        points = curves[name]
        look = style(name)
        if not markers:
            look["markevery"] = (0.03 * (MARKERS.index(look["marker"]) % 5), 0.15)
        xs = sorted(points)
        means = [statistics.fmean(points[x]) for x in xs]
        axes.plot(xs, means, label=label(name), **look)
        if any(len(points[x]) > 1 for x in xs):
            spread = [statistics.stdev(points[x]) if len(points[x]) > 1 else 0.0 for x in xs]
            low = [mean - one for mean, one in zip(means, spread)]
            high = [mean + one for mean, one in zip(means, spread)]
            axes.fill_between(xs, low, high, color=look["color"], alpha=0.15, linewidth=0)


def length_panels(lengths: Sequence[int], height: float, x: str, y: str) -> tuple[Any, list[Any]]:
    """A figure with one panel `height` inches high for each code length, named where there are several; all share
    their axes, which are labelled `x` and `y` at the edge. One alone is a column wide, several stand in threes,
    four in twos, all of them in twos where a paper's column is all there is.
    """
    from matplotlib import pyplot

    narrow = inches(PAGE) < PAGE
    columns = 2 if len(lengths) == 4 else min(2 if narrow else 3, len(lengths))
    rows = -(-len(lengths) // columns)
    figure, grid = pyplot.subplots(
        rows,
        columns,
        figsize=(inches(COLUMN if len(lengths) == 1 else PAGE), height * rows),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    panels = list(grid.flat)
    for number, (axes, bits) in enumerate(zip(panels, lengths)):
        axes.set(xlabel=x, ylabel=y, title=f"{bits} bits" if len(lengths) > 1 else "")
        lowest = number + columns >= len(lengths)  # inner panels keep their labels for whoever asks, unseen
        axes.xaxis.label.set_visible(lowest)
        axes.tick_params(labelbottom=lowest)
        axes.yaxis.label.set_visible(number % columns == 0)
    for axes in panels[len(lengths) :]:
        axes.set_axis_off()
    return figure, panels[: len(lengths)]


def reach(values: Sequence[float]) -> float | None:
    """Half the width of Student's 95 % interval of a mean over seeds; None for fewer than two."""
    from scipy import stats

    if len(values) < 2:
        return None
    return float(stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)))


def draw_intervals(axes: Any, curves: Mapping[str, Points]) -> None:
    """mAP by row and code length, 95 % intervals over seeds as bars: lines over several lengths, the highest first;
    over one, a point for each row.
    """
    draw: dict[str, dict[float, float]] = {}
    for name, points in curves.items():
        draw[name] = {x: statistics.fmean(values) for x, values in points.items()}
    order = best_first({name: statistics.fmean(means.values()) for name, means in draw.items()})
    columns = sorted({x for points in curves.values() for x in points})
    flat, places = len(columns) == 1, row_places(order)
    for row, name in zip(places, order):
        xs, look = sorted(draw[name]), style(name)
        means = [draw[name][x] for x in xs]
        if flat:
            axes.plot(means, [row], label=label(name), **{**look, "linestyle": "none"})
        else:
            axes.plot(xs, means, label=label(name), **look)
        for x, mean in zip(xs, means):
            if half := reach(curves[name][x]):
                line = axes.hlines if flat else axes.vlines
                line(row if flat else x, mean - half, mean + half, color=look["color"], lw=0.9)
    if flat:
        axes.set_yticks(places, map(label, order))
        axes.set_ylim(places[-1] + 0.5, -0.5)
        axes.set_xlabel("mAP")
        return
    axes.set_xscale("log", base=2)
    axes.set_xticks(columns, [f"{x:g}" for x in columns])
    axes.minorticks_off()
    axes.set(xlabel="bits", ylabel="mAP")


def log_x(axes: Any) -> None:
    """A logarithmic x axis with its numbers written out; 2 and 5 are marked too where there are few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def joined(lengths: Sequence[int], mark: str) -> str:
    """Code lengths in one word: `16, 32` for a mark of `, `."""
    return mark.join(map(str, lengths))


def draw_bars(axes: Any, names: Sequence[str], cells: Sequence[Cell]) -> None:
    """Horizontal bars with standard deviations; a gap is a dash where its bar would begin."""
    places = row_places(names)
    for row, name, cell in zip(places, names, cells, strict=True):
        if cell.mean is None:
            axes.text(0, row, " –", va="center")
            continue
        look = style(name)
        axes.barh(row, cell.mean, 0.72, color=look["color"], xerr=cell.deviation, error_kw={"lw": 0.7})
        edge = cell.mean + (cell.deviation or 0.0)
        axes.text(edge, row, f" {cell.mean:.3f}", va="center", fontsize=6)
    axes.set_yticks(places, map(label, names))
    if not axes.yaxis_inverted():  # panels that share the axis turn it once
        axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(axis="y", visible=False)


def draw_heat(
    axes: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    scale: tuple[float, float] | None = None,
) -> Any:
    """A heat map with its numbers written in; gaps are left white with a dash. scale: the least and the greatest
    value of the colours (default: of `values`).
    """
    import numpy as np

    grid = np.array([[np.nan if one is None else one for one in row] for row in values], dtype=float)
    low, high = scale or (np.nanmin(grid), np.nanmax(grid))
    image = axes.imshow(grid, cmap="cividis", aspect="auto", vmin=low, vmax=high)
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    middle = (low + high) / 2
    for row in range(len(rows)):
        for column in range(len(columns)):
            value = grid[row, column]
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".", 1)
            colour = "black" if np.isnan(value) or value > middle else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=5, color=colour)
    return image


def heat_bar(panels: Sequence[Any], image: Any, unit: str) -> None:
    """The colours of heat maps that share them, beside the last."""
    where = panels[0] if len(panels) == 1 else panels
    bar = panels[0].figure.colorbar(image, ax=where, fraction=0.05, pad=0.02)
    bar.set_label(unit)
    bar.outline.set_linewidth(0.4)


__all__ = [
    "Points",
    "draw_bars",
    "draw_heat",
    "draw_intervals",
    "draw_lines",
    "heat_bar",
    "joined",
    "length_panels",
    "log_x",
    "reach",
]
