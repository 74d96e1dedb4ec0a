"""What is computed from the scores of corrupted views: drops, means, and ratios to a named baseline.

Definitions after Hendrycks and Dietterich (Benchmarking neural network robustness to common corruptions and
perturbations, ICLR 2019), with 1 - mAP in the place of the classification error. Pure functions of floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from benchmark.errors import InputError
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


def mean_corruption_drop(clean: float, cells: Cells, over: Iterable[str] = COMMON) -> float | None:
    """The clean score minus the mean corruption score, in the score's own unit; None when one is missing."""
    mean = mean_corruption_score(cells, over)
    return None if mean is None else clean - mean


def corruption_error_ratio(
    cells: Cells,
    baseline: Cells,
    over: Iterable[str] = COMMON,
    *,
    clean: float | None = None,
    baseline_clean: float | None = None,
) -> float | None:
    """The mean over corruptions of sum_s (1 - score) / sum_s (1 - baseline's score); 1 equals the baseline.

    With both clean scores, the relative form: sum_s (clean - score) / sum_s (clean - score) of the baseline. None
    when a corruption is missing on either side, or the baseline loses nothing. Raises InputError when the two
    sides were not measured at the same severities: such a ratio would compare unlike sums.
    """
    ratios = []
    for name in over:
        mine, theirs = cells.get(name), baseline.get(name)
        if not mine or not theirs:
            return None
        if mine.keys() != theirs.keys():
            raise InputError(f"corruption {name!r} was measured at other severities than the baseline's")
        relative = clean is not None and baseline_clean is not None
        top = sum((clean if relative and clean is not None else 1.0) - value for value in mine.values())
        start = baseline_clean if relative and baseline_clean is not None else 1.0
        bottom = sum(start - value for value in theirs.values())
        if bottom <= 0:
            return None
        ratios.append(top / bottom)
    return fmean(ratios) if ratios else None


def cells_of(record: Record) -> Cells:
    """corruption -> severity -> mAP of one record, queries corrupted."""
    return corruption_cells([(s.view, s.value) for s in record.scores if s.metric == "map"])


def mean_drop(record: Record) -> float | None:
    """The relative drop of the mean over the fifteen common corruptions; None when one was not measured."""
    clean, mean = record.score("map"), mean_corruption_score(cells_of(record))
    return None if clean is None or mean is None else relative_drop(clean, mean)
