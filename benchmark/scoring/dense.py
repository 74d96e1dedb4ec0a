"""Rankings that counts cannot express: real-valued scores, ternary codes, and other people's sorts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules
from benchmark.metrics.labels import match_ids, read_label_pair
from benchmark.scoring.codeset import CodeSet, Pair

_BYTES = 16 << 20  # of scores at a time


def signed_pair(codes: CodeSet, sign: str, seed: int) -> Pair:
    """The two matrices that a repository would multiply, as float32 -1/0/+1 or as real-valued outputs.

    sign: `zero` leaves sign(0) = 0, `random` draws -1 or +1 for it from `seed` (queries first), `up` makes it +1,
    `none` keeps the outputs (float64 stays float64). From outputs as well: `centred` takes the sign, 0 for 0, after
    the database's mean is subtracted; `asymmetric` keeps those of the queries; products of `euclidean` and `cosine`
    rank as the distance does. Raises InputError where outputs are needed and there are none, or not finite ones.
    """
    if sign in ("none", "centred", "asymmetric", "euclidean", "cosine"):
        return _of_outputs(codes, sign)
    rng = np.random.default_rng(seed)
    pair = []
    for reading, one in zip(codes.readings, codes.matrices):
        ternary = reading.ternary(one)
        zeros = ternary == 0
        if sign == "random":
            ternary[zeros] = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), int(zeros.sum()))
        elif sign in ("up", "rule"):
            ternary[zeros] = 1
        pair.append(ternary)
    return pair[0], pair[1]


def _of_outputs(codes: CodeSet, sign: str) -> Pair:
    if codes.outputs is None:
        raise InputError("needs real-valued outputs; these are codes")
    for side, one in zip(("query", "database"), codes.outputs):
        if not np.isfinite(one).all():
            raise InputError(f"{side} outputs hold NaN or infinity, which cannot be ranked by value")
    queries, items = (one if one.dtype == np.float64 else one.astype(np.float32) for one in codes.outputs)
    if sign == "none":
        return queries, items
    if sign == "centred":
        mean = items.mean(axis=0, dtype=np.float64).astype(items.dtype)
        return np.sign(queries - mean).astype(np.float32), np.sign(items - mean).astype(np.float32)
    if sign == "asymmetric":
        return queries, signed_pair(codes, "up", 0)[1]
    queries, items = queries.astype(np.float64), items.astype(np.float64)
    if sign == "cosine":
        queries, items = (
            one / (np.linalg.norm(one, axis=1, keepdims=True) + 1e-7) for one in (queries, items)
        )
        return queries, items
    # The nearest has the largest 2 q.d - d.d, which is |q|^2 less the squared distance.
    ones = np.ones((len(queries), 1))
    return np.hstack([queries, ones]), np.hstack([2 * items, -(items**2).sum(axis=1, keepdims=True)])


def has_zeros(codes: CodeSet) -> bool:
    """Whether a value lies on the threshold, so that its sign is 0."""
    pairs = zip(codes.readings, codes.matrices)
    return any(reading.signed and bool((one == reading.threshold).any()) for reading, one in pairs)


def scores(queries: NDArray[Any], items: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """(query, inner products with every item) for each query in turn, multiplied block by block."""
    step = max(1, _BYTES // (items.shape[0] * items.itemsize))
    for low in range(0, len(queries), step):
        block = queries[low : low + step] @ items.T
        yield from enumerate(block, start=low)


class Relevance:
    """Which database items are relevant to a query: at least one shared label, or the same class."""

    def __init__(self, codes: CodeSet) -> None:
        sizes = len(codes.matrices[0]), len(codes.matrices[1])
        query, database = read_label_pair(*codes.labels, sizes)
        self._query, self._database = query, database

    def of(self, query: int) -> NDArray[np.bool_]:
        """Relevance (items,) for one query."""
        if self._database.classes is not None and self._query.classes is not None:
            return np.asarray(self._database.classes == self._query.classes[query])
        assert self._database.planes is not None
        assert self._query.planes is not None
        shared = np.zeros(self._database.size, dtype=np.bool_)
        for plane, word in zip(self._database.planes, self._query.planes[:, query]):
            shared |= (plane & word) != 0
        return shared


def ranked_lists(
    matrices: Pair,
    codes: CodeSet,
    rules: Rules,
) -> Iterator[tuple[int, NDArray[Any], NDArray[np.bool_], int]]:
    """(query, its products with every item, which are relevant, how many are kept) for each query in turn."""
    queries, items = matrices
    relevance = Relevance(codes)
    owners, rows = match_ids(*codes.ids, len(queries), len(items)) if rules.exclude_self else (None, None)
    for query, products in scores(queries, items):
        relevant = relevance.of(query)
        if owners is not None and rows is not None:
            absent = rows[owners == query]
            products, relevant = np.delete(products, absent), np.delete(relevant, absent)
        yield query, products, relevant, len(products) if rules.k is None else min(rules.k, len(products))
