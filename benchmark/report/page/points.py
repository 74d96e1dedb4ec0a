"""The data points of a drawn matplotlib figure: where they are on the picture, and what to say of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

#: (x, y, text): x from the left and y from the top, as shares of the picture's width and height.
Point = tuple[float, float, str]

#: Lines and scatters with more points are thinned evenly: a reader cannot aim at more of them.
MAX_PER_LINE = 150


def points(figure: Any) -> tuple[Point, ...]:
    """Points of lines, ends of bars, cells of heat maps and small scatters, in the order of drawing.

    The figure must have been laid out (saved once). Helper lines, whose label begins with `_`, are left out.
    """
    width, height = figure.bbox.width, figure.bbox.height
    found = []
    for axes in figure.axes:
        box = axes.get_window_extent().padded(2)
        for x, y, text in _of_axes(axes):
            if math.isfinite(x) and math.isfinite(y) and box.contains(x, y):
                found.append((round(x / width, 4), round(1 - y / height, 4), text))
    return tuple(found)


def _of_axes(axes: Any) -> Iterator[Point]:
    horizontal, vertical = (_plain(label) for label in (axes.get_xlabel(), axes.get_ylabel()))
    for line in axes.get_lines():
        if not line.get_label().startswith("_") and line.get_transform() == axes.transData:
            yield from _places(axes, line.get_xydata(), _plain(line.get_label()), horizontal, vertical)
    for scatter in axes.collections:
        label = str(scatter.get_label())
        if hasattr(scatter, "get_sizes") and not label.startswith("_"):
            offsets = scatter.get_offsets()
            if len(offsets) <= MAX_PER_LINE and horizontal and vertical:
                yield from _places(axes, offsets, _plain(label), horizontal, vertical)
    yield from _bars(axes, horizontal, vertical)
    for image in axes.images:
        yield from _cells(axes, image)


def _places(axes: Any, data: Any, label: str, horizontal: str, vertical: str) -> Iterator[Point]:
    step = max(1, math.ceil(len(data) / MAX_PER_LINE))
    kept = [pair for place, pair in enumerate(data) if place % step == 0 or place == len(data) - 1]
    for x, y in ((float(x), float(y)) for x, y in kept):
        if math.isfinite(x) and math.isfinite(y):
            left, up = axes.transData.transform((x, y))
            yield float(left), float(up), f"{label}: {_named(horizontal, 'x', x)}, {_named(vertical, 'y', y)}"


def _bars(axes: Any, horizontal: str, vertical: str) -> Iterator[Point]:
    for bar in axes.patches:
        if not hasattr(bar, "get_width") or not any(bar in bars for bars in axes.containers):
            continue
        lying = any(
            bar in bars and getattr(bars, "orientation", "") == "horizontal" for bars in axes.containers
        )
        x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
        at = (x + width, y + height / 2) if lying else (x + width / 2, y + height)
        name = _tick(axes.yaxis if lying else axes.xaxis, at[1] if lying else at[0])
        value = _named(horizontal if lying else vertical, "value", width if lying else height)
        left, up = axes.transData.transform(at)
        yield float(left), float(up), f"{name}: {value}" if name else value


def _cells(axes: Any, image: Any) -> Iterator[Point]:
    """The cells of a heat map: a grid whose rows and columns have names. A picture has none."""
    if image.get_array() is None or image.get_array().ndim != 2 or image.get_array().size > 5000:
        return
    grid: Any = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    rows, columns = (
        [_tick(axis, n) for n in range(size)] for axis, size in zip((axes.yaxis, axes.xaxis), grid.shape)
    )
    if not all(rows) or not all(columns):
        return
    for (row, column), value in np.ndenumerate(grid):
        left, up = axes.transData.transform((column, row))
        said = "no value" if math.isnan(value) else f"{value:.4g}"
        yield float(left), float(up), f"{rows[row]}, {columns[column]}: {said}"


def _tick(axis: Any, place: float) -> str:
    """The label of the tick at a place; empty without one."""
    if not axis.get_visible() or not axis.axes.axison:
        return ""
    for at, label in zip(axis.get_ticklocs(), axis.get_ticklabels()):
        if abs(at - place) < 1e-6:
            return _plain(label.get_text())
    return ""


def _named(axis: str, otherwise: str, value: float) -> str:
    whole = value == round(value) and abs(value) >= 10
    return f"{axis or otherwise} {value:,.0f}" if whole else f"{axis or otherwise} {value:.4g}"


def _plain(text: str) -> str:
    return " ".join(str(text).replace(r"\$", "$").split())
