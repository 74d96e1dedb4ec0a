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
    """Pack two sets of codes that belong together -> (query bytes, database bytes, bits).

    Both are read by one rule, see `reading.read_pair`. Raises InputError for unlike bit counts and as it does.
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


def _evaluated(
    codes: tuple[Any, Any],
    labels: tuple[Any, Any],
    metrics: Sequence[str],
    options: Options,
    *,
    at: Sequence[int] = (),
    cutoffs: Sequence[int] | None = None,
) -> Evaluation:
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

    Codes, shape (items, bits): -1/+1, 0/1 or booleans of any type, or outputs by sign; the two sides need not be
    alike. Outputs that are never negative need `threshold`: what a 1 must exceed (0.5 for a sigmoid's), or one for
    the queries and one for the database. Labels: class indices or names (items,), or multi-hot (items, classes);
    relevant means at least one shared label. Given query_ids and database_ids, each query's own entry is left out
    of its ranking. Further options: sign_zero, threads, device. Returns a value in 0..1, or NaN where
    `no_hit="skip"` skips every query. Raises InputError for input that does not fit.
    """
    stated = {"k": k, "ties": ties, "normaliser": normaliser, "no_hit": no_hit, "engine": engine}
    chosen = cast(Options, {**stated, **options})
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return _evaluated(codes, labels, ["map"], chosen).values["map"]


def _at(name: str, n: int, codes: tuple[Any, Any], labels: tuple[Any, Any], options: Options) -> float:
    return _evaluated(codes, labels, [name], options, at=[n]).values[f"{name}@{n}"]


def precision_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Mean share of relevant items among the first n (of the whole database, if it is smaller)."""
    return _at("precision", n, (query_codes, database_codes), (query_labels, database_labels), options)


def recall_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Mean share of each query's relevant items that stand among the first n."""
    return _at("recall", n, (query_codes, database_codes), (query_labels, database_labels), options)


def hit_rate_at(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    n: int,
    **options: Unpack[Options],
) -> float:
    """Share of queries with a relevant item among the first n; under `expected` ties, its probability."""
    return _at("hit_rate", n, (query_codes, database_codes), (query_labels, database_labels), options)


def precision_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """Mean precision of the items within Hamming radius 2; `empty_ball` rules the empty ones."""
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return _evaluated(codes, labels, ["precision_r2"], options).values["precision_r2"]


def recall_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """Mean recall of the items within Hamming radius 2; `empty_ball` rules the empty ones."""
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return _evaluated(codes, labels, ["recall_r2"], options).values["recall_r2"]


def mean_average_precision_within_radius(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """mAP of the items within Hamming radius 2, in Hamming order; `empty_ball` rules the empty ones."""
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return _evaluated(codes, labels, ["map_r2"], options).values["map_r2"]


def _graded(name: str, codes: tuple[Any, Any], labels: tuple[Any, Any], options: Options) -> float:
    options.setdefault("relevance", "graded")
    return _evaluated(codes, labels, [name], options).values[name]


def ndcg(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """NDCG@k with gain 2^shared - 1 and discount 1 / log2(1 + rank); multi-hot labels only."""
    return _graded("ndcg", (query_codes, database_codes), (query_labels, database_labels), options)


def acg(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """ACG@k: the mean number of labels shared with the first k items; multi-hot labels only."""
    return _graded("acg", (query_codes, database_codes), (query_labels, database_labels), options)


def wap(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    **options: Unpack[Options],
) -> float:
    """WAP@k: the mean over hits inside k of ACG at the hit's rank; multi-hot labels only."""
    return _graded("wap", (query_codes, database_codes), (query_labels, database_labels), options)


def curves(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    *,
    cutoffs: Sequence[int] | None = None,
    **options: Unpack[Options],
) -> dict[str, NDArray[Any]]:
    """Precision, recall and hit rate by rank, precision and recall by radius: `Evaluation.curves`."""
    points = default_cutoffs(len(database_codes)) if cutoffs is None else cutoffs  # type: ignore[arg-type]
    codes, labels = (query_codes, database_codes), (query_labels, database_labels)
    return _evaluated(codes, labels, [], options, cutoffs=points).curves
