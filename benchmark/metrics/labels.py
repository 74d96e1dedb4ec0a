"""Labels: class indices or multi-hot rows, checked and packed for fast comparison."""

from __future__ import annotations

import math
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


def read_label_pair(
    query: Any, database: Any, sizes: tuple[int, int], *, graded: bool = False
) -> tuple[Labels, Labels]:
    """Check the labels of `sizes` queries and database items against each other and against the codes.

    Each (n,) class indices, or multi-hot rows (n, classes) of 0/1 (or -1/+1). A column (n, 1) or a row (1, n) is
    class indices too, but for a boolean column where `graded` relevance asks for label sets. Class names (strings)
    are numbered over both sides together. Raises InputError for anything else: NaN, negative classes, fractions, an
    empty set, other sizes, unlike kinds.
    """
    names = ("query", "database")
    arrays = [
        _as_labels(one, f"{name} labels", size) for one, name, size in zip((query, database), names, sizes)
    ]
    if any(array.dtype.kind == "U" for array in arrays):
        arrays = _numbered(arrays)
    left, right = (read_labels(array, f"{name} labels", graded) for array, name in zip(arrays, names))
    for name, labels, size in zip(names, (left, right), sizes):
        if labels.size != size:
            raise InputError(f"{name} codes have {size} rows but {name} labels have {labels.size}")
    check_pair(left, right)
    return left, right


def read_labels(labels: Any, name: str, graded: bool = False) -> Labels:
    """Check the labels of one set, class indices or multi-hot rows; see `read_label_pair`."""
    array = as_numpy(labels, name)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InputError(f"{name} have shape {array.shape}; allowed: (items,) or (items, classes), not empty")
    if array.ndim == 1 or (array.shape[1] == 1 and not (graded and array.dtype.kind == "b")):
        return Labels(len(array), None, 1, classes=_class_indices(array.reshape(-1), name))
    return _multi_hot(array, name)


def check_orientation(codes: NDArray[Any], labels: Any, side: str) -> None:
    """Raise InputError where codes have as many columns, and not as many rows, as there are labels."""
    try:
        shape = tuple(map(int, getattr(labels, "shape", None) or np.shape(labels)))
    except (ValueError, TypeError, RuntimeError):
        return  # no labels at all, which is said where they are read
    sizes = {shape[0] if shape else 0, math.prod(shape) if 1 in shape else 0}
    if codes.shape[0] not in sizes and codes.shape[1] in sizes:
        raise InputError(
            f"{side} codes have {codes.shape[0]} rows but {side} labels have {codes.shape[1]}; so many"
            " columns are there: are they stored bits x items? transpose them (--transpose, codes.T)"
        )


def _as_labels(labels: Any, name: str, size: int) -> NDArray[Any]:
    array = as_text(labels)
    if array is None:
        array = as_numpy(labels, name)
    elif array.ndim == 2 and 1 not in array.shape:
        raise InputError(f"{name} are names of shape {array.shape}; allowed: one name an item")
    return array[0] if array.ndim == 2 and array.shape == (1, size) != (1, 1) else array


def as_text(values: Any) -> NDArray[np.str_] | None:
    """Strings, or bytes that are UTF-8, as an array of strings; None for anything else."""
    if hasattr(values, "detach") or hasattr(values, "toarray"):
        return None
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # of tensors in a list, too
        return None
    if array.dtype.kind == "O" and array.size and all(isinstance(one, (str, bytes)) for one in array.flat):
        flat = [
            one.decode("utf-8", "backslashreplace") if isinstance(one, bytes) else one for one in array.flat
        ]
        return np.array(flat, dtype=np.str_).reshape(array.shape)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "backslashreplace")
    return array if array.dtype.kind == "U" else None


def _numbered(arrays: list[NDArray[Any]]) -> list[NDArray[np.int64]]:
    """Class names as numbers, over both sides together."""
    flat = [array.ravel().astype(np.str_) for array in arrays]
    _, numbers = np.unique(np.concatenate(flat), return_inverse=True)
    return [part.astype(np.int64) for part in np.split(numbers, [len(flat[0])])]


def check_pair(query: Labels, database: Labels) -> None:
    """Raise InputError unless the two sets of labels are of one kind and width."""
    if query.multi != database.multi:
        kinds = [
            f"multi-hot of width {one.width}" if one.multi else "class indices" for one in (query, database)
        ]
        raise InputError(f"query labels are {kinds[0]} but database labels are {kinds[1]}; give both alike")
    if query.width != database.width:
        raise InputError(f"query labels have {query.width} columns but database labels have {database.width}")


def _class_indices(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise InputError(f"{name} are no class indices: found {_first_odd(array)}")
    if array.dtype.kind in "if" and (array < 0).any():
        raise InputError(f"{name}: class indices must be 0 or more, found {array.min()}")
    if float(array.max()) > 2**62:
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


def index_type(classes: int) -> np.dtype[Any]:
    """The type in which class indices are stored: int16 where it holds them, as published codes have it."""
    return np.result_type(np.int16, np.min_scalar_type(-classes))


def class_indices(one_hot: NDArray[Any]) -> NDArray[Any]:
    """One-hot rows (n, classes) as class indices (n,), of a type that holds every class."""
    return np.asarray(one_hot.argmax(axis=1), dtype=index_type(one_hot.shape[1]))


def match_ids(
    query_ids: Any, database_ids: Any, queries: int, items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, database row) that carry the same id, sorted by query, then by row.

    Ids are whole numbers or strings, one per item, and are compared exactly. Raises InputError where they are
    missing, of the wrong length, no ids, or floats too large to tell neighbours apart.
    """
    if query_ids is None or database_ids is None:
        raise InputError("leaving the query out needs query ids and database ids")
    left, right = _comparable(
        read_ids(query_ids, "query ids", queries), read_ids(database_ids, "database ids", items)
    )
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    low = np.searchsorted(ranked, left, side="left")
    counts = np.searchsorted(ranked, left, side="right") - low
    rows = np.repeat(np.arange(queries), counts)
    offsets = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows.astype(np.int64), order[np.repeat(low, counts) + offsets].astype(np.int64)


def read_ids(ids: Any, name: str, size: int) -> NDArray[Any]:
    """Ids of one set as integers or strings (n,); InputError for anything else."""
    array = as_text(ids)
    if array is None:
        array = as_numpy(ids, name)
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.shape != (size,):
        raise InputError(f"{name} have shape {array.shape}; expected ({size},)")
    if array.dtype.kind == "f":
        exact = 2.0 ** {2: 11, 4: 24}.get(array.itemsize, 53)  # beyond it neighbouring ids are one number
        if not (np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) <= exact)).all():
            raise InputError(
                f"{name} hold {array.dtype}: not all are whole numbers up to {exact:.0f}, beyond which floats merge"
                " neighbours; store ids as integers or strings"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise InputError(f"{name} hold {array.dtype}; allowed: whole numbers or strings")
    return array


def _comparable(left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both in one type that holds every id exactly: int64, uint64 or text."""
    if {left.dtype.kind, right.dtype.kind} <= {"i", "u"}:
        for kind in (np.int64, np.uint64):
            limits = np.iinfo(kind)
            if all(
                limits.min <= one.min().item() and one.max().item() <= limits.max for one in (left, right)
            ):
                return left.astype(kind), right.astype(kind)
    return left.astype(np.str_), right.astype(np.str_)
