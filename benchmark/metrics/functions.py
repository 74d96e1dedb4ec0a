"""One function per metric, straight from codes: `mean_average_precision` and its siblings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import InputError
from benchmark.metrics.codes import as_matrix, pack_matrix
from benchmark.metrics.evaluation import Evaluation, default_cutoffs, evaluate
from benchmark.metrics.labels import check_orientation
from benchmark.metrics.reading import Threshold, read_pair
from benchmark.metrics.rules import CHOICES, Rules


def pack_pair(
    query_codes: Any, database_codes: Any, *, sign_zero: int = 1, threshold: Threshold = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Pack two sets of codes that belong together; both are read by one rule.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`.
    sign_zero, threshold
        As there.

    Returns
    -------
    (uint8, uint8, int)
        Query bytes, database bytes, bits.

    Raises
    ------
    InputError
        Unlike bit counts, or codes that cannot be read.
    """
    queries, items = as_matrix(query_codes, "query codes"), as_matrix(database_codes, "database codes")
    if queries.shape[1] != items.shape[1]:
        raise InputError(f"query codes have {queries.shape[1]} bits but database codes have {items.shape[1]}")
    left, right = read_pair(queries, items, threshold)
    packed = pack_matrix(queries, left, sign_zero=sign_zero), pack_matrix(items, right, sign_zero=sign_zero)
    return *packed, int(queries.shape[1])


def _engine_for(engine: str, *arrays: Any) -> str:
    """`torch` for codes that already live on a GPU, unless another engine is forced."""
    torch = sys.modules.get("torch")
    if engine == "auto" and torch is not None and any(getattr(one, "is_cuda", False) for one in arrays):
        return "torch"
    return engine


class _Further(TypedDict, total=False):
    """Options that no signature spells out; see `Rules` and `evaluate`."""

    sign_zero: int
    threshold: Threshold
    query_ids: ArrayLike | None
    database_ids: ArrayLike | None
    threads: int | None
    device: str | None


class Options(_Further, total=False):
    """What every metric function takes besides codes and labels, beside `sign_zero`, `threshold`, `query_ids`,
    `database_ids`, `threads` and `device`.

    k, ties, normaliser, no_hit, empty_ball, relevance: as in `Rules`. engine: as in `evaluate`.
    """

    k: int | None
    ties: str
    normaliser: str
    no_hit: str
    empty_ball: str
    relevance: str
    engine: str


def evaluated(
    codes: tuple[Any, Any],
    labels: tuple[Any, Any],
    metrics: Sequence[str],
    options: Options,
    *,
    at: Sequence[int] = (),
    cutoffs: Sequence[int] | None = None,
) -> Evaluation:
    """Read (query, database) codes and labels and score them: what the functions of these modules share.

    Parameters
    ----------
    codes, labels : pairs
        The queries' and the database's, as `mean_average_precision` takes them.
    metrics : sequence of str
        Names from METRICS.
    options : Options
        See there.
    at, cutoffs : sequence of int
        As in `evaluate`.

    Returns
    -------
    Evaluation
        Of these metrics alone.
    """
    ruled: dict[str, Any] = {key: value for key, value in options.items() if key in CHOICES or key == "k"}
    ids = (options.get("query_ids"), options.get("database_ids"))
    rules = Rules(**ruled, exclude_self=any(one is not None for one in ids))
    names = ("query", "database")
    matrices = [as_matrix(one, f"{name} codes") for one, name in zip(codes, names)]
    for matrix, told, name in zip(matrices, labels, names):
        check_orientation(matrix, told, name)
    packed = pack_pair(*matrices, sign_zero=rules.sign_zero, threshold=options.get("threshold"))
    return evaluate(
        *packed,
        *labels,
        rules=rules,
        metrics=metrics,
        at=at,
        cutoffs=cutoffs,
        query_ids=ids[0],
        database_ids=ids[1],
        engine=_engine_for(options.get("engine", "auto"), *codes),
        threads=options.get("threads"),
        device=options.get("device"),
    )


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
    **options: Unpack[_Further],
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
