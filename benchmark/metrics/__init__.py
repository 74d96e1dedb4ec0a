"""Retrieval metrics from binary codes: exact, tie-aware, and explicit about their rules.

Importing this package loads numpy and nothing heavier; numba and torch load when an engine needs them.
"""

from benchmark.metrics.ball import (
    mean_average_precision_within_radius,
    precision_within_radius,
    recall_within_radius,
)
from benchmark.metrics.codes import code_health, pack_codes, unpack_codes
from benchmark.metrics.evaluation import Evaluation, evaluate, evaluate_stored
from benchmark.metrics.functions import curves, hit_rate_at, mean_average_precision, precision_at, recall_at
from benchmark.metrics.graded import acg, ndcg, wap
from benchmark.metrics.junk import junk_aware_map
from benchmark.metrics.problem import Neighbours, neighbours_of
from benchmark.metrics.rules import Rules
from benchmark.metrics.table import METRICS, Metric, metric_of

__all__ = [
    "METRICS",
    "Evaluation",
    "Metric",
    "Neighbours",
    "Rules",
    "acg",
    "code_health",
    "curves",
    "evaluate",
    "evaluate_stored",
    "hit_rate_at",
    "junk_aware_map",
    "mean_average_precision",
    "mean_average_precision_within_radius",
    "metric_of",
    "ndcg",
    "neighbours_of",
    "pack_codes",
    "precision_at",
    "precision_within_radius",
    "recall_at",
    "recall_within_radius",
    "unpack_codes",
    "wap",
]
