"""Average precision where each query comes with lists of what is right and of what is neither right nor wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from benchmark.errors import InputError
from benchmark.metrics.evaluation import evaluate
from benchmark.metrics.options import pack_pair
from benchmark.metrics.problem import Neighbours
from benchmark.metrics.rules import Rules


def junk_aware_map(
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    relevant: Sequence[ArrayLike],
    junk: Sequence[ArrayLike],
    *,
    ties: str = "expected",
    no_hit: str = "skip",
) -> float:
    """mAP of the revisited Oxford and Paris data sets: junk is left out of a query's ranking, the area under
    precision and recall is that of trapezoids, and a query without a relevant item is skipped.

    Their protocols differ in the lists alone. Easy: relevant are the easy items, junk the hard and the junk ones;
    Medium: the easy and the hard, and the junk ones; Hard: the hard, and the junk and the easy ones.

    Parameters
    ----------
    query_codes, database_codes : (items, bits)
        As in `mean_average_precision`.
    relevant, junk : sequence of int arrays, one a query
        Places in the database, from 0; a place stands in at most one of the two, once.
    ties, no_hit : str
        As in `Rules`.

    Returns
    -------
    float
        In 0..1; NaN where every query is skipped.

    Raises
    ------
    InputError
        Codes or lists that do not fit; the message names the query.
    """
    queries, items, bits = pack_pair(query_codes, database_codes)
    scored = evaluate(
        queries,
        items,
        bits,
        (),
        (),
        rules=Rules(ties=ties, no_hit=no_hit, relevance="neighbours"),
        metrics=["map_trapezoid"],
        neighbours=_lists(relevant, "relevant", len(queries)),
        junk=_lists(junk, "junk", len(queries)),
    )
    return scored.values["map_trapezoid"]


def _lists(lists: Sequence[ArrayLike], name: str, queries: int) -> Neighbours:
    if len(lists) != queries:
        raise InputError(f"{name} has {len(lists)} lists but there are {queries} queries; give one a query")
    rows = []
    for query, one in enumerate(lists):
        array = np.asarray(one)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InputError(
                f"{name} of query {query} is no list of places in the database (whole numbers from 0)"
            )
        if len(np.unique(array)) < len(array):
            raise InputError(f"{name} of query {query} names an item twice; each counts once")
        rows.append(array.astype(np.int64))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in rows])]).astype(np.int64)
    return Neighbours(offsets, np.concatenate(rows) if rows else np.empty(0, dtype=np.int64))
