"""Drawing pieces that several figures share: lines of means with bands, bars, heat maps."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.sheet import Cell
from benchmark.report.style import COLOURS, place, style

#: x -> the values there, one for each seed.
Points = Mapping[float, Sequence[float]]


def draw_lines(axes: Any, curves: Mapping[str, Points], *, markers: bool = True) -> None:
    """One line per name: means, with a band of one standard deviation where there are several seeds.

    markers: on every point; else on a few, in turn, which tell the lines apart without their colours.
    """
    for name, points in sorted(curves.items()):
        look = style(name) if markers else {**style(name), "markevery": (0.03 * (place(name) % 5), 0.15)}
        xs = sorted(points)
        means = [statistics.fmean(points[x]) for x in xs]
        axes.plot(xs, means, label=name, **look)
        if any(len(points[x]) > 1 for x in xs):
            spread = [statistics.stdev(points[x]) if len(points[x]) > 1 else 0.0 for x in xs]
            low = [mean - one for mean, one in zip(means, spread)]
            high = [mean + one for mean, one in zip(means, spread)]
            axes.fill_between(xs, low, high, color=look["color"], alpha=0.15, linewidth=0)


def draw_bars(axes: Any, names: Sequence[str], cells: Sequence[Cell]) -> None:
    """Horizontal bars with standard deviations; a gap is a dash where its bar would begin."""
    for row, (name, cell) in enumerate(zip(names, cells, strict=True)):
        if cell.mean is None:
            axes.text(0, row, " –", va="center")
            continue
        look = style(name)
        axes.barh(row, cell.mean, 0.72, color=look["color"], xerr=cell.deviation, error_kw={"lw": 0.7})
        edge = cell.mean + (cell.deviation or 0.0)
        axes.text(edge, row, f" {cell.mean:.3f}", va="center", fontsize=6)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(axis="y", visible=False)


def draw_heat(
    axes: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    unit: str,
) -> Any:
    """A heat map with its numbers written in; gaps are left white with a dash."""
    import numpy as np

    grid = np.array([[np.nan if one is None else one for one in row] for row in values], dtype=float)
    image = axes.imshow(grid, cmap="cividis", aspect="auto", vmin=np.nanmin(grid), vmax=np.nanmax(grid))
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
    for row in range(len(rows)):
        for column in range(len(columns)):
            value = grid[row, column]
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".", 1)
            colour = "black" if np.isnan(value) or value > middle else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=5, color=colour)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(unit)
    bar.outline.set_linewidth(0.4)
    return image


__all__ = ["COLOURS", "Points", "draw_bars", "draw_heat", "draw_lines"]
