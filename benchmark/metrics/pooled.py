"""Metrics over all queries together: they have no score of a single query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.groups import grouped_average_precision, tie_groups
from benchmark.metrics.problem import Problem
from benchmark.metrics.rules import Rules
from benchmark.metrics.ties import Floats

RADIUS = 2
MICRO = ("micro_precision_r2", "micro_recall_r2", "micro_ap")
MACRO = "map_macro"


def micro(counts: NDArray[np.int64], rules: Rules) -> tuple[dict[str, float], dict[str, Floats]]:
    """Values and curves by radius of pairs (query, item) counted together, counts (bits + 1, levels)."""
    pairs = np.cumsum(counts.sum(axis=1)).astype(np.float64)
    hits = np.cumsum(counts[:, 1:].sum(axis=1)).astype(np.float64)
    empty = 0.0 if rules.empty_ball == "zero" else np.nan
    missed = 0.0 if rules.no_hit == "zero" else np.nan
    precision = np.divide(hits, pairs, out=np.full_like(hits, empty), where=pairs > 0)
    recall = hits / hits[-1] if hits[-1] else np.full_like(hits, missed)
    area = float(grouped_average_precision(tie_groups(counts[None], "expected"))[0]) if hits[-1] else missed
    column = min(RADIUS, len(pairs) - 1)
    values = {
        "micro_precision_r2": float(precision[column]),
        "micro_recall_r2": float(recall[column]),
        "micro_ap": area,
    }
    return values, {"radius_micro_precision": precision, "radius_micro_recall": recall}


def macro(scores: Floats, classes: NDArray[np.int64]) -> float:
    """The mean over classes of the mean score of a class's queries; a class without a counted query is left out."""
    known = ~np.isnan(scores)
    if not known.any():
        return float("nan")
    _, numbers = np.unique(classes[known], return_inverse=True)
    return float((np.bincount(numbers, scores[known]) / np.bincount(numbers)).mean())


def query_classes(problem: Problem) -> NDArray[np.int64]:
    """The class of each query (queries,); InputError, naming the query, where one has not exactly one."""
    if problem.neighbours is not None:
        raise InputError(
            f"metric {MACRO!r} needs a class for each query; relevance here is by true neighbours"
        )
    labels = problem.query_labels
    if labels.classes is not None:
        return labels.classes.astype(np.int64)
    assert labels.planes is not None
    many = np.bitwise_count(labels.planes).sum(axis=0)
    odd = np.flatnonzero(many != 1)
    if len(odd):
        raise InputError(
            f"metric {MACRO!r} needs one class for each query; query {odd[0]} has {many[odd[0]]} labels"
        )
    _, numbers = np.unique(labels.planes.T, axis=0, return_inverse=True)
    return np.asarray(numbers.ravel(), dtype=np.int64)
