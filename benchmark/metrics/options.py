"""What every metric function takes, and how it is read, packed and scored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import InputError
from benchmark.metrics.codes import as_matrix, pack_matrix
from benchmark.metrics.evaluation import Evaluation, evaluate
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


class FurtherOptions(TypedDict, total=False):
    """Options that no signature spells out; see `Rules` and `evaluate`."""

    sign_zero: int
    threshold: Threshold
    query_ids: ArrayLike | None
    database_ids: ArrayLike | None
    threads: int | None
    device: str | None


class Options(FurtherOptions, total=False):
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
