"""The metrics as data: what each is called, which way is better, and where it is defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.errors import unknown

_TIES = "McSherry and Najork, Computing information retrieval performance measures efficiently, ECIR 2008"
_HASHING = "Wang et al., A survey on learning to hash, TPAMI 2018"
_DSRH = "Zhao et al., Deep semantic ranking based hashing, CVPR 2015"
_OOD = "Hendrycks and Gimpel, Detecting misclassified and out-of-distribution examples, ICLR 2017"
_ITQ = "Gong et al., Iterative quantization, TPAMI 2013"


#: What computes a metric: a ranking of the database (`blocks.py`), one with degrees of relevance (there too), a
#: second data set's queries (`novelty.py`), or the codes alone (`codes.code_health`).
Group = Literal["ranking", "graded", "foreign", "codes"]


@dataclass(frozen=True)
class Metric:
    """One metric: how to print it, compare it and look it up.

    group: what computes it. label: for table headers. format: a format specification such as `.4f`.
    multi_label_only: whether it is defined for label sets alone. description: what it measures, in a line; source:
    where it was defined.
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
) -> Metric:
    return Metric(name, group, label, direction, (0.0, upper), spec, group == "graded", description, source)


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
    _metric("bit_balance", "codes", "balance", "mean over bits of 1 - |2 p - 1|, p the share of ones", _ITQ),
    _metric(
        "bit_correlation_max",
        "codes",
        "max |corr|",
        "largest absolute correlation of two bits",
        _ITQ,
        direction="min",
    ),
    _metric(
        "bit_correlation_mean",
        "codes",
        "mean |corr|",
        "mean absolute correlation of two bits",
        _ITQ,
        direction="min",
    ),
    _metric("bit_entropy", "codes", "entropy", "mean entropy of a bit, in bits", _ITQ),
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
