"""Metrics of the items within Hamming radius 2, straight from codes."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from benchmark.metrics.options import Options, evaluated


def precision_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """Mean precision of the items within Hamming radius 2; `empty_ball`: how empty balls count.

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
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return evaluated(codes, labels, ["precision_r2"], options).values["precision_r2"]


def recall_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """Mean recall of the items within Hamming radius 2; `empty_ball`: how empty balls count.

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
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return evaluated(codes, labels, ["recall_r2"], options).values["recall_r2"]


def mean_average_precision_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """mAP of the items within Hamming radius 2, in Hamming order; `empty_ball`: how empty balls count.

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
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return evaluated(codes, labels, ["map_r2"], options).values["map_r2"]
