"""The metrics as data: what each is called, which way is better, and where it is defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.errors import unknown

_TIES = "McSherry and Najork, Computing information retrieval performance measures efficiently, ECIR 2008"
_HASHING = "Wang et al., A survey on learning to hash, TPAMI 2018"
_DSRH = "Zhao et al., Deep semantic ranking based hashing, CVPR 2015"
_OOD = "Hendrycks and Gimpel, Detecting misclassified and out-of-distribution examples, ICLR 2017"
_REALITY = "Musgrave, Belongie and Lim, A metric learning reality check, ECCV 2020"
_REVISITED = "Radenovic et al., Revisiting Oxford and Paris, CVPR 2018; filipradenovic/revisitop compute_ap"
_CROSS = "WangGodder/deep-cross-modal-hashing torchcmh/evaluate/hashing.py calc_map_k"
_RADIUS = "willard-yuan/hashing-baseline-for-image-retrieval recall_precision.m"
_TREC = "Manning, Raghavan and Schuetze, Introduction to information retrieval, 2008"
_GONG = "Gong et al., Iterative quantization, TPAMI 2013"


#: What computes a metric: a ranking of the database (`blocks.py`), one with degrees of relevance (there too), all
#: queries together (`pooled.py`), a second data set's queries (`novelty.py`), or the codes alone (`code_health`).
Group = Literal["ranking", "graded", "pooled", "foreign", "codes"]


@dataclass(frozen=True)
class Metric:
    """One metric: how to print it, compare it and look it up.

    Attributes
    ----------
    name : str
        The key of its scores, without a cut-off.
    group : str
        What computes it; see `Group`.
    label : str
        For table headers.
    direction : str
        Which way is better: `max` or `min`.
    range : (float, float or None)
        Its lowest and highest value; None: no upper bound.
    format : str
        A format specification such as `.4f`.
    multi_label_only : bool
        Whether it is defined for label sets alone.
    description, source : str
        What it measures, in a line, and where it was defined.
    on_request : bool
        Whether it is computed only where it is named.
    """

    name: str
    group: Group
    label: str
    direction: str  # "max" or "min": which way is better
    range: tuple[float, float | None]  # None: no upper bound
    format: str
    multi_label_only: bool
    description: str
    source: str
    on_request: bool = False


def _metric(
    name: str,
    group: Group,
    label: str,
    description: str,
    source: str,
    *,
    direction: str = "max",
    upper: float | None = 1.0,
    spec: str = ".4f",
    on_request: bool = False,
) -> Metric:
    graded = group == "graded"
    return Metric(name, group, label, direction, (0.0, upper), spec, graded, description, source, on_request)


def _asked(name: str, label: str, description: str, source: str, group: Group = "ranking") -> Metric:
    return _metric(name, group, label, description, source, on_request=True)


_ALL = (
    _metric("map", "ranking", "mAP", "mean average precision at k", _TIES),
    _metric("precision", "ranking", "P@N", "share of relevant items among the first N", _TIES),
    _metric("recall", "ranking", "R@N", "share of all relevant items found among the first N", _TIES),
    _metric(
        "hit_rate", "ranking", "Hit@N", "share of queries with a relevant item among the first N", _HASHING
    ),
    _metric("precision_r2", "ranking", "P@H<=2", "precision within Hamming radius 2", _HASHING),
    _metric("recall_r2", "ranking", "R@H<=2", "recall within Hamming radius 2", _HASHING),
    _metric(
        "map_r2",
        "ranking",
        "mAP@H<=2",
        "mean average precision of the items within Hamming radius 2",
        _HASHING,
    ),
    _asked(
        "r_precision", "R-precision", "share of relevant items among the first R, R of them in all", _TREC
    ),
    _asked(
        "map_at_r", "MAP@R", "precisions at the hits among the first R, summed and divided by R", _REALITY
    ),
    _asked("mrr", "MRR@k", "mean of 1 / rank of the first relevant item, 0 beyond k", _TREC),
    _asked("map_first_hits", "mAP, first k hits", "mean precision at the first k hits, or at all", _CROSS),
    _asked("map_trapezoid", "mAP (trapezoids)", "area under precision and recall, by trapezoids", _REVISITED),
    _asked("map_macro", "macro mAP@k", "mean over classes of the mAP of a class's queries", _TREC, "pooled"),
    _asked("micro_precision_r2", "micro P@H<=2", "precision of all pairs within radius 2", _RADIUS, "pooled"),
    _asked("micro_recall_r2", "micro R@H<=2", "recall of all pairs within radius 2", _RADIUS, "pooled"),
    _asked(
        "micro_ap", "micro AP", "area under precision and recall of all pairs by radius", _RADIUS, "pooled"
    ),
    _metric("ndcg", "graded", "NDCG@k", "normalised discounted gain at k, gain 2^shared - 1", _DSRH),
    _metric("acg", "graded", "ACG@k", "mean number of shared labels in the first k", _DSRH, upper=None),
    _metric(
        "wap",
        "graded",
        "WAP@k",
        "average precision weighted by the number of shared labels",
        _DSRH,
        upper=None,
    ),
    _metric(
        "auroc",
        "foreign",
        "AUROC",
        "chance that a foreign query lies farther from the database than an own one",
        _OOD,
    ),
    _metric("bit_balance", "codes", "balance", "mean over bits of 1 - |2 p - 1|, p the share of ones", _GONG),
    _metric(
        "bit_correlation_max",
        "codes",
        "max |corr|",
        "largest absolute correlation of two bits",
        _GONG,
        direction="min",
    ),
    _metric(
        "bit_correlation_mean",
        "codes",
        "mean |corr|",
        "mean absolute correlation of two bits",
        _GONG,
        direction="min",
    ),
    _metric("bit_entropy", "codes", "entropy", "mean entropy of a bit, in bits", _GONG),
    _metric(
        "distinct_codes", "codes", "distinct", "number of different codes", _HASHING, upper=None, spec=".0f"
    ),
    _metric(
        "constant_bits",
        "codes",
        "constant",
        "bits that never change",
        _HASHING,
        upper=None,
        spec=".0f",
        direction="min",
    ),
)

#: name -> Metric. A score at a cut-off carries it after an at sign: "precision@100".
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def names_of(*groups: Group) -> tuple[str, ...]:
    """The names of the metrics of these groups, in the table's order."""
    return tuple(name for name, metric in METRICS.items() if metric.group in groups)


def metric_of(key: str) -> Metric:
    """The metric behind a score's key.

    Parameters
    ----------
    key : str
        Such as `precision@100`.

    Returns
    -------
    Metric
        Here `precision`.

    Raises
    ------
    InputError
        An unknown key.
    """
    name = key.split("@", 1)[0]
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
