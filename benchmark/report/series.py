"""Curves over a horizontal axis, and the table of their points."""

from __future__ import annotations

from statistics import fmean

from benchmark.report.context import rows_of
from benchmark.report.groups import Group
from benchmark.report.map_table import group_facts
from benchmark.report.tables.cells import Cell, Sheet, best_first, text_cell
from benchmark.store.record import Record

Curves = dict[str, dict[float, list[float]]]


def map_curves(records: tuple[Record, ...], field: str = "map", against: str = "step") -> Curves:
    """row -> x -> the values of the seeds there; `against` is `step` or `seconds` (the mean time of that step)."""
    found: Curves = {}
    for name, members in rows_of(records).items():
        points: dict[int, list[tuple[float, float]]] = {}
        for record in members:
            for point in record.curve:
                value = getattr(point, field)
                if value is not None:
                    points.setdefault(point.step, []).append((point.seconds, value))
        for step, pairs in points.items():
            x = float(step) if against == "step" else fmean(seconds for seconds, _ in pairs)
            found.setdefault(name, {})[x] = [value for _, value in pairs]
    return found


def points_sheet(name: str, series: dict[str, Curves], x: str, group: Group) -> Sheet:
    """The points of a figure as a sheet: (line, x) by quantity, the line that is highest in the first one first."""
    first = next(iter(series.values()))
    means = {row: [fmean(values) for values in points.values()] for row, points in first.items()}
    names = {row for curves in series.values() for row in curves}
    order = best_first({row: fmean(means[row]) if means.get(row) else None for row in names})
    keys = [
        (row, at)
        for row in order
        for at in sorted({x for curves in series.values() for x in curves.get(row, ())})
    ]
    body = []
    for row, at in keys:
        cells = [Cell(values=tuple(curves.get(row, {}).get(at, ()))) for curves in series.values()]
        body.append((text_cell(row), text_cell(f"{at:g}"), *cells))
    return Sheet(name, name, ("method", x, *series), tuple(body), keys=2, facts=group_facts(group))
