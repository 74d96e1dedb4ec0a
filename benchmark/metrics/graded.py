"""Metrics of how many labels are shared, straight from codes and multi-hot labels."""

from __future__ import annotations

from typing import Any, Unpack

from numpy.typing import ArrayLike

from benchmark.metrics.options import Options, evaluated


def _graded(name: str, codes: tuple[Any, Any], labels: tuple[Any, Any], options: Options) -> float:
    options.setdefault("relevance", "graded")
    return evaluated(codes, labels, [name], options).values[name]


def ndcg(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """NDCG@k with gain 2^shared - 1 and discount 1 / log2(1 + rank); multi-hot labels only.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    **options
        See `Options`.

    Returns
    -------
    float
        In 0..1; NaN where `no_hit` skips every query.
    """
    return _graded("ndcg", (query_codes, database_codes), (query_labels, database_labels), options)


def acg(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """ACG@k: the mean number of labels shared with the first k items; multi-hot labels only.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    **options
        See `Options`.

    Returns
    -------
    float
        From 0 to the largest number of shared labels.
    """
    return _graded("acg", (query_codes, database_codes), (query_labels, database_labels), options)


def wap(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """WAP@k: the mean over hits inside k of ACG at the hit's rank; multi-hot labels only.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    **options
        See `Options`.

    Returns
    -------
    float
        From 0 to the largest number of shared labels.
    """
    return _graded("wap", (query_codes, database_codes), (query_labels, database_labels), options)
