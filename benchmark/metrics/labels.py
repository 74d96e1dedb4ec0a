"""Labels: class indices or multi-hot rows, checked and packed for fast comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.codes import as_numpy, to_planes

_ROWS = 1 << 14  # rows checked and packed at a time


@dataclass(frozen=True)
class Labels:
    """Labels of one set. Exactly one of `classes` (n,) and `planes` (words, n) is present.

    `most` is the largest number of labels that one item carries.
    """

    size: int
    width: int | None
    most: int
    classes: NDArray[np.int64] | None = None
    planes: NDArray[np.uint64] | None = None

    @property
    def multi(self) -> bool:
        """Whether the labels are multi-hot."""
        return self.planes is not None


def read_labels(labels: Any, name: str) -> Labels:
    """Check labels: shape (n,) class indices, or (n, classes) multi-hot rows of 0/1 (or -1/+1).

    A column (n, 1) with values other than 0 and 1 is read as class indices. Raises InputError for
    anything else: NaN, negative classes, fractions, an empty set.
    """
    array = as_numpy(labels, name)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InputError(f"{name} have shape {array.shape}; allowed: (items,) or (items, classes), not empty")
    if array.ndim == 2 and array.shape[1] == 1 and not _is_binary(array):
        array = array[:, 0]
    if array.ndim == 1:
        return Labels(len(array), None, 1, classes=_class_indices(array, name))
    return _multi_hot(array, name)


def check_pair(query: Labels, database: Labels) -> None:
    """Raise InputError unless the two sets of labels are of one kind and width."""
    if query.multi != database.multi:
        kinds = [
            f"multi-hot of width {one.width}" if one.multi else "class indices" for one in (query, database)
        ]
        raise InputError(f"query labels are {kinds[0]} but database labels are {kinds[1]}; give both alike")
    if query.width != database.width:
        raise InputError(f"query labels have {query.width} columns but database labels have {database.width}")


def _is_binary(array: NDArray[Any]) -> bool:
    return bool(((array == 0) | (array == 1)).all())


def _class_indices(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise InputError(f"{name} are no class indices: found {_first_odd(array)}")
    if array.dtype.kind in "if" and (array < 0).any():
        raise InputError(f"{name}: class indices must be 0 or more, found {array.min()}")
    if array.max() > 2**62:
        raise InputError(f"{name}: class index {array.max()} is too large")
    return array.astype(np.int64)


def _first_odd(array: NDArray[Any]) -> float:
    return float(array[~(np.isfinite(array) & (array == np.floor(array)))][0])


def _multi_hot(array: NDArray[Any], name: str) -> Labels:
    rows, width = array.shape
    packed = np.empty((rows, -(-width // 8)), dtype=np.uint8)
    most = 0
    for start in range(0, rows, _ROWS):
        block = array[start : start + _ROWS]
        ones = block == 1
        wrong = ~(ones | (block == 0) | (block == -1)) if array.dtype.kind in "if" else ~(ones | (block == 0))
        if wrong.any():
            raise InputError(f"{name}: multi-hot labels must be 0 or 1, found {block[wrong][0]}")
        most = max(most, int(ones.sum(axis=1).max()))
        packed[start : start + _ROWS] = np.packbits(ones, axis=1)
    return Labels(rows, width, most, planes=to_planes(packed))


def match_ids(
    query_ids: Any, database_ids: Any, queries: int, items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, database row) that carry the same id, sorted by query, then by row.

    Ids are integers or strings, one per item. Raises InputError where they are missing, of the wrong
    length, or of unlike kinds.
    """
    if query_ids is None or database_ids is None:
        raise InputError("leaving the query out needs query ids and database ids")
    pair = []
    for name, ids, size in (("query ids", query_ids, queries), ("database ids", database_ids, items)):
        array = np.asarray(ids.detach().cpu() if hasattr(ids, "detach") else ids)
        if array.ndim == 2 and 1 in array.shape:
            array = array.ravel()
        if array.shape != (size,):
            raise InputError(f"{name} have shape {array.shape}; expected ({size},)")
        if array.dtype.kind == "f" and (array == np.floor(array)).all():
            array = array.astype(np.int64)
        if array.dtype.kind not in "iuUS":
            raise InputError(f"{name} hold {array.dtype}; allowed: whole numbers or strings")
        pair.append(array)
    left, right = pair
    if (left.dtype.kind in "iu") != (right.dtype.kind in "iu") or "S" in left.dtype.kind + right.dtype.kind:
        left, right = left.astype(np.str_), right.astype(np.str_)
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    low = np.searchsorted(ranked, left, side="left")
    counts = np.searchsorted(ranked, left, side="right") - low
    rows = np.repeat(np.arange(queries), counts)
    offsets = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows.astype(np.int64), order[np.repeat(low, counts) + offsets].astype(np.int64)
