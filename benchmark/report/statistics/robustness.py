"""What is computed from the scores of corrupted views: means and relative drops.

Definitions after Hendrycks and Dietterich (Benchmarking neural network robustness to common corruptions and
perturbations, ICLR 2019), with 1 - mAP in the place of the classification error. Pure functions of floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from benchmark.spec.corruptions import COMMON
from benchmark.spec.views import Target, parse_view
from benchmark.store.record import Record

#: corruption -> severity -> score, as `corruption_cells` sorts them.
Cells = Mapping[str, Mapping[int, float]]


def corruption_cells(
    scores: Iterable[tuple[str, float]], target: Target = "queries"
) -> dict[str, dict[int, float]]:
    """Sort (view name, score) pairs by corruption and severity; other views and targets are left out.

    Raises InputError for a name that is no view.
    """
    cells: dict[str, dict[int, float]] = {}
    for name, value in scores:
        view = parse_view(name)
        if view.kind == "corruption" and view.target == target and view.severity is not None:
            cells.setdefault(view.name, {})[view.severity] = value
    return cells


def relative_drop(clean: float, value: float) -> float | None:
    """(clean - value) / clean: the lost share of the clean score, negative for a gain; None when clean is 0."""
    return (clean - value) / clean if clean else None


def mean_corruption_score(cells: Cells, over: Iterable[str] = COMMON) -> float | None:
    """The mean over corruptions of each one's mean over the severities at hand; None when one is missing.

    over: which corruptions count, by default the common fifteen.
    """
    wanted = list(over)
    if not wanted or any(not cells.get(name) for name in wanted):
        return None
    return fmean(fmean(cells[name].values()) for name in wanted)


def cells_of(record: Record) -> Cells:
    """corruption -> severity -> mAP of one record, queries corrupted."""
    return corruption_cells([(s.view, s.value) for s in record.scores if s.metric == "map"])


def mean_drop(record: Record) -> float | None:
    """The relative drop of the mean over the fifteen common corruptions; None when one was not measured."""
    clean, mean = record.score("map"), mean_corruption_score(cells_of(record))
    return None if clean is None or mean is None else relative_drop(clean, mean)
