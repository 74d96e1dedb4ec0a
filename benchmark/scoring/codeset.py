"""Codes that somebody brought: two sets, their labels and ids, checked and ready to be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.codes import as_matrix, as_numpy, checked_bits, checked_packed, unpack_codes
from benchmark.metrics.functions import pack_pair
from benchmark.scoring.claims import LIMIT
from benchmark.scoring.files import load_arrays

_SIDES = ("query", "database")


@dataclass(frozen=True)
class CodeSet:
    """Query and database codes with labels. Pairs are (query, database).

    name: the file's. labels: class indices (items,) or multi-hot (items, classes); ids: for leaving a query's
    own entry out, None where there are none.
    matrices: values of shape (items, bits) as they were stored, or unpacked 0/1; outputs: real-valued
    outputs, where the file holds any; notes: what a reader of the numbers should know.
    """

    name: str
    bits: int
    matrices: tuple[NDArray[Any], NDArray[Any]]
    outputs: tuple[NDArray[Any], NDArray[Any]] | None
    labels: tuple[NDArray[Any], NDArray[Any]]
    ids: tuple[NDArray[Any] | None, NDArray[Any] | None]
    notes: tuple[str, ...] = ()

    def packed(self, sign_zero: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Both sets packed into bytes."""
        queries, items, _ = pack_pair(*self.matrices, sign_zero=sign_zero)
        return queries, items


def load_codes(names: tuple[str, ...], limit: int = LIMIT) -> CodeSet:
    """Read a `CodeSet` from one file, or from several `.npy` files (see `files.load_arrays`).

    Packed codes are recognised by the presence of `bits`. Raises InputError, in one line, for
    anything that does not fit.
    """
    arrays = load_arrays(names, limit)
    name = ", ".join(names)
    notes: list[str] = []
    outputs = _outputs(arrays)
    if all(f"{side}_codes" in arrays for side in _SIDES):
        matrices = _codes(arrays)
    elif outputs is not None:
        matrices, outputs = outputs, None
    else:
        raise InputError(f"{name}: codes for one set and outputs for the other; give both alike")
    if outputs is None and all(one.dtype.kind == "f" for one in matrices):
        matrices, outputs = _read_floats(matrices, notes)  # outputs, whatever the file calls them
    queries, items = matrices
    if queries.shape[1] != items.shape[1]:
        raise InputError(f"query codes have {queries.shape[1]} bits but database codes have {items.shape[1]}")
    labels = tuple(_labels(arrays[f"{side}_labels"], len(one), side) for side, one in zip(_SIDES, matrices))
    ids = tuple(arrays.get(f"{side}_ids") for side in _SIDES)
    return CodeSet(
        name, queries.shape[1], matrices, outputs, (labels[0], labels[1]), (ids[0], ids[1]), tuple(notes)
    )


def _outputs(arrays: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    if not all(f"{side}_outputs" in arrays for side in _SIDES):
        return None
    queries, items = (as_matrix(arrays[f"{side}_outputs"], f"{side} outputs") for side in _SIDES)
    return queries, items


def _codes(arrays: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    pair = [as_matrix(arrays[f"{side}_codes"], f"{side} codes") for side in _SIDES]
    if "bits" not in arrays:
        return pair[0], pair[1]
    stated = np.asarray(as_numpy(arrays["bits"], "bits"))
    if stated.size != 1:
        raise InputError(f"bits has shape {stated.shape}; it must be one whole number")
    number = stated.ravel()[0].item()
    bits = checked_bits(int(number) if number == int(number) else number)
    for at, side in enumerate(_SIDES):
        if pair[at].shape[1] == bits and not (
            bits == 1 and pair[at].dtype == np.uint8 and pair[at].max() > 1
        ):
            continue  # one value a bit after all
        pair[at] = unpack_codes(checked_packed(pair[at], bits, f"{side} codes"), bits)
    return pair[0], pair[1]


def _read_floats(
    matrices: tuple[NDArray[Any], NDArray[Any]], notes: list[str]
) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]] | None]:
    """Tell real-valued outputs from codes that were merely stored as floats.

    By sign, 0.0/1.0 would make every bit 1, silently; MATLAB stores 0/1 codes that way.
    """
    if all(((one == 0) | (one == 1)).all() for one in matrices) and any((one == 0).any() for one in matrices):
        notes.append("floats that are all 0 or 1: read as 0/1 codes")
        return (matrices[0] == 1, matrices[1] == 1), None
    if all(((one == 1) | (one == -1)).all() for one in matrices):
        return matrices, None
    if not any((one < 0).any() for one in matrices):
        notes.append("no output is negative, so every bit is 1: are these probabilities? subtract 0.5 first")
    return matrices, matrices


def _labels(labels: Any, items: int, side: str) -> NDArray[Any]:
    """Labels as stored, a single row or column (MATLAB has no vectors) turned into class indices."""
    array = as_numpy(labels, f"{side} labels")
    if array.ndim == 2 and 1 in array.shape and array.size == items:
        return array.ravel()
    return array
