"""Rankings that counts cannot express: real-valued scores, ternary codes, and other people's sorts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.labels import read_label_pair
from benchmark.scoring.codeset import CodeSet

_BYTES = 16 << 20  # of scores at a time


def signed_pair(codes: CodeSet, sign: str, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two matrices that a repository would multiply, as float32 -1/0/+1 or as real-valued outputs.

    sign: `zero` leaves sign(0) = 0, `random` draws -1 or +1 for it from `seed` (queries first),
    `none` keeps the outputs (float64 stays float64). Raises InputError where `none` finds no outputs,
    or outputs that are not finite.
    """
    if sign == "none":
        if codes.outputs is None:
            raise InputError("needs real-valued outputs; these are codes")
        for side, one in zip(("query", "database"), codes.outputs):
            if not np.isfinite(one).all():
                raise InputError(f"{side} outputs hold NaN or infinity, which cannot be ranked by value")
        queries, items = (one if one.dtype == np.float64 else one.astype(np.float32) for one in codes.outputs)
        return queries, items
    rng = np.random.default_rng(seed)
    pair = []
    for reading, one in zip(codes.readings, codes.matrices):
        ternary = reading.ternary(one)
        if sign == "random":
            zeros = ternary == 0
            ternary[zeros] = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), int(zeros.sum()))
        pair.append(ternary)
    return pair[0], pair[1]


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
