"""Codes that somebody brought: two sets, their labels and ids, checked and ready to be scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.files.arrays import LIMIT
from benchmark.metrics.codes import (
    as_matrix,
    as_numpy,
    checked_bits,
    checked_packed,
    pack_matrix,
    unpack_codes,
)
from benchmark.metrics.labels import as_text, check_orientation, read_ids, read_label_pair
from benchmark.metrics.reading import Reading, Threshold, describe_readings, read_pair
from benchmark.scoring.readers import load_arrays

_SIDES = ("query", "database")
Pair = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class CodeSet:
    """Query and database codes with labels. Pairs are (query, database).

    name: the file's. labels: class indices or names (items,), or multi-hot (items, classes); ids: for leaving a
    query's own entry out, None where there are none.
    matrices: values of shape (items, bits) as they were stored, or unpacked 0/1; outputs: real-valued
    outputs, where the file holds any; notes: what a reader of the numbers should know. threshold: as in
    `metrics.reading.read_pair`.
    """

    name: str
    bits: int
    matrices: Pair
    outputs: Pair | None
    labels: Pair
    ids: tuple[NDArray[Any] | None, NDArray[Any] | None]
    notes: tuple[str, ...] = ()
    threshold: Threshold = None

    @cached_property
    def readings(self) -> tuple[Reading, Reading]:
        """How the values of each set become bits: one rule over both."""
        return read_pair(*self.matrices, self.threshold)

    def packed(self, sign_zero: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Both sets packed into bytes."""
        queries, items = (
            pack_matrix(one, reading, sign_zero=sign_zero)
            for one, reading in zip(self.matrices, self.readings)
        )
        return queries, items

    @cached_property
    def unlabelled(self) -> NDArray[np.bool_]:
        """Which queries carry no label at all, (queries,); class indices always are one."""
        query, _ = read_label_pair(*self.labels, (len(self.matrices[0]), len(self.matrices[1])))
        return np.zeros(query.size, dtype=bool) if query.planes is None else np.all(query.planes == 0, axis=0)

    def labelled(self) -> CodeSet:
        """The same without the queries that carry no label; InputError where none is left."""
        kept = ~self.unlabelled
        if kept.all():
            return self
        if not kept.any():
            raise InputError(f"{self.name}: no query has a label; --no-label skip leaves none to score")
        ids = self.ids[0]  # which may be no ids of these items: that is said where they are needed
        found = replace(
            self,
            matrices=(self.matrices[0][kept], self.matrices[1]),
            outputs=None if self.outputs is None else (self.outputs[0][kept], self.outputs[1]),
            labels=(self.labels[0][kept], self.labels[1]),
            ids=(ids[kept] if ids is not None and len(ids) == len(kept) else ids, self.ids[1]),
            notes=(*self.notes, f"{(~kept).sum()} of {len(kept)} queries have no label and are skipped"),
        )
        vars(found)["readings"] = self.readings  # values become bits as in the whole set
        return found


def load_codes(
    names: tuple[str, ...],
    limit: int = LIMIT,
    *,
    named: Mapping[str, str] | None = None,
    bits: int | None = None,
    threshold: Threshold = None,
    transpose: bool = False,
) -> CodeSet:
    """Read a `CodeSet` from one file or from several (see `files.load_arrays`, also for `named`).

    Packed codes are recognised by the presence of `bits`, in the file or given here. threshold: what a 1 must
    exceed, for outputs that are never negative. transpose: codes and outputs are stored bits x items. Raises
    InputError, in one line, for anything that does not fit.
    """
    arrays = load_arrays(names, limit, named)
    if bits is not None:
        arrays["bits"] = bits
    name = ", ".join(names)
    outputs = _pair(arrays, "outputs", transpose)
    matrices = _pair(arrays, "codes", transpose)
    if matrices is not None:
        matrices = _unpacked(matrices, arrays)
    elif outputs is not None:
        matrices, outputs = outputs, None
    else:
        raise InputError(f"{name}: codes for one set and outputs for the other; give both alike")
    labels = [_labels(arrays[f"{side}_labels"], side, one) for side, one in zip(_SIDES, matrices)]
    queries, items = matrices
    if queries.shape[1] != items.shape[1]:
        raise InputError(f"query codes have {queries.shape[1]} bits but database codes have {items.shape[1]}")
    readings = read_pair(queries, items, threshold)
    if outputs is not None:
        _check_outputs(outputs, matrices)
    elif any(one.real for one in readings) and all(one.dtype.kind == "f" for one in matrices):
        outputs = matrices if all(one.signed for one in readings) else None  # whatever the file calls them
    ids = tuple(
        _ids(arrays.get(f"{side}_ids"), f"{side} ids", len(one)) for side, one in zip(_SIDES, matrices)
    )
    return CodeSet(
        name,
        queries.shape[1],
        matrices,
        outputs,
        (labels[0], labels[1]),
        (ids[0], ids[1]),
        (describe_readings(readings),),
        threshold,
    )


def _pair(arrays: dict[str, Any], kind: str, transpose: bool) -> Pair | None:
    if not all(f"{side}_{kind}" in arrays for side in _SIDES):
        return None
    queries, items = (as_matrix(arrays[f"{side}_{kind}"], f"{side} {kind}") for side in _SIDES)
    return (queries.T, items.T) if transpose else (queries, items)


def _unpacked(matrices: Pair, arrays: dict[str, Any]) -> Pair:
    if "bits" not in arrays:
        return matrices
    stated = np.asarray(as_numpy(arrays["bits"], "bits"))
    if stated.size != 1:
        raise InputError(f"bits has shape {stated.shape}; it must be one whole number")
    number = stated.ravel()[0].item()
    whole = number == number and abs(number) != float("inf") and number == int(number)
    bits = checked_bits(int(number) if whole else number)
    pair = list(matrices)
    for at, side in enumerate(_SIDES):
        one = pair[at]
        if one.shape[1] == bits and not (bits == 1 and one.dtype == np.uint8 and one.max() > 1):
            continue  # one value a bit after all
        if one.dtype.kind in "iuf" and ((one >= 0) & (one <= 255) & (one == np.floor(one))).all():
            one = one.astype(np.uint8)  # bytes, in the type that MATLAB or JSON gave them
        pair[at] = unpack_codes(checked_packed(one, bits, f"{side} codes"), bits)
    return pair[0], pair[1]


def _check_outputs(outputs: Pair, matrices: Pair) -> None:
    for side, one, codes in zip(_SIDES, outputs, matrices):
        if len(one) != len(codes):
            raise InputError(f"{side} codes have {len(codes)} rows but {side} outputs have {len(one)}")
    if outputs[0].shape[1] != outputs[1].shape[1]:
        widths = " and ".join(str(one.shape[1]) for one in outputs)
        raise InputError(f"query and database outputs have {widths} columns; give both alike")


def _labels(labels: Any, side: str, codes: NDArray[Any]) -> NDArray[Any]:
    """Labels as stored, a single row or column (MATLAB has no vectors) turned into class indices."""
    array = as_text(labels)
    if array is None:
        array = as_numpy(labels, f"{side} labels")
    check_orientation(codes, array, side)
    return array.ravel() if array.ndim == 2 and 1 in array.shape and array.size == len(codes) else array


def _ids(ids: Any, name: str, size: int) -> NDArray[Any] | None:
    """Ids in the type that compares them, as stored where they are no ids of these items, None without any."""
    if ids is None:
        return None
    array = as_text(ids)
    if array is None:
        array = as_numpy(ids, name)
    try:
        return read_ids(array, name, size)
    except InputError:  # said where they are needed
        return array if array.size else None
