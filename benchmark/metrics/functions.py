"""One function per metric, straight from codes: `mean_average_precision` and its siblings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, cast

from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.evaluation import default_cutoffs
from benchmark.metrics.options import FurtherOptions, Options, evaluated


def mean_average_precision(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    *,
    k: int | None = None,
    ties: str = "expected",
    normaliser: str = "retrieved-in-k",
    no_hit: str = "zero",
    engine: str = "auto",
    **options: Unpack[FurtherOptions],
) -> float:
    """mAP@k of a Hamming ranking, exact under the stated rules (see `Rules`).

    Parameters
    ----------
    query_codes : (queries, bits)
        Codes as -1/+1, 0/1 or booleans of any type, or outputs that count by sign. The two sides need not be
        alike.
    database_codes : (items, bits)
        The database's codes, in the same way.
    query_labels : (queries,) or (queries, classes)
        Class indices or names, or multi-hot rows; relevant means at least one shared label.
    database_labels : (items,) or (items, classes)
        The database's labels, in the same way.
    k : int, optional
        The ranks that count, from 1; all of the database when left out.
    ties, normaliser, no_hit : str
        How ties, the divisor and queries without a hit count, as in `Rules`.
    engine : str
        `auto`, `numpy`, `numba` or `torch`.
    **options
        `threshold`: what a 1 must exceed, for outputs that are never negative (0.5 for a sigmoid's), one
        number or one for the queries and one for the database. `query_ids`, `database_ids`: each query's own
        entry is left out of its ranking. `sign_zero`: the bit of an exact 0. `threads`, `device`: as in
        `evaluate`.

    Returns
    -------
    float
        In 0..1; NaN where `no_hit="skip"` skips every query.

    Raises
    ------
    InputError
        Codes, labels or an option do not fit; the message names which.

    Examples
    --------
    >>> mean_average_precision([[1, 1]], [[1, 1], [-1, -1]], [0], [0, 1])
    1.0
    """
    stated = {"k": k, "ties": ties, "normaliser": normaliser, "no_hit": no_hit, "engine": engine}
    chosen = cast(Options, {**stated, **options})
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return evaluated(codes, labels, ["map"], chosen).values["map"]


def _at(name: str, n: int, codes: tuple[Any, Any], labels: tuple[Any, Any], options: Options) -> float:
    return evaluated(codes, labels, [name], options, at=[n]).values[f"{name}@{n}"]


def precision_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Mean share of relevant items among the first n (of the whole database, if it is smaller).

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    n : int
        Ranks that count, from 1.
    **options
        See `Options`.

    Returns
    -------
    float
        In 0..1; NaN where `no_hit` skips every query.
    """
    return _at("precision", n, (query_codes, database_codes), (query_labels, database_labels), options)


def recall_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Mean share of each query's relevant items that stand among the first n.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    n : int
        Ranks that count, from 1.
    **options
        See `Options`.

    Returns
    -------
    float
        In 0..1; NaN where `no_hit` skips every query.
    """
    return _at("recall", n, (query_codes, database_codes), (query_labels, database_labels), options)


def hit_rate_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Share of queries with a relevant item among the first n; under `expected` ties, its probability.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    n : int
        Ranks that count, from 1.
    **options
        See `Options`.

    Returns
    -------
    float
        In 0..1; NaN where `no_hit` skips every query.
    """
    return _at("hit_rate", n, (query_codes, database_codes), (query_labels, database_labels), options)


def curves(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    *,
    cutoffs: Sequence[int] | None = None,
    **options: Unpack[Options],
) -> dict[str, NDArray[Any]]:
    """Precision, recall and hit rate by rank, precision and recall by radius.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`, like the labels and options.
    query_labels, database_labels : (items,) or (items, classes)
        Relevant means at least one shared label.
    cutoffs : sequence of int, optional
        The ranks, from 1; about 50 of them, evenly spaced in the logarithm, when left out.
    **options
        See `Options`.

    Returns
    -------
    dict
        Name to array, as `Evaluation.curves`.
    """
    points = default_cutoffs(len(database_codes)) if cutoffs is None else cutoffs  # type: ignore[arg-type]
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return evaluated(codes, labels, [], options, cutoffs=points).curves
