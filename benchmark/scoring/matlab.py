"""MATLAB files: version 5 through scipy, version 7.3 (HDF5) through h5py; and HDF5 files of any other maker."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scoring.member import Member

_WIDTHS = {
    "double": 8,
    "single": 4,
    "int64": 8,
    "uint64": 8,
    "int32": 4,
    "uint32": 4,
    "int16": 2,
    "uint16": 2,
}
_WIDTHS |= {"int8": 1, "uint8": 1, "logical": 1, "sparse": 8}
_DEEPEST = 6  # groups inside groups that are looked through
_MOST = 10_000  # objects of one file


def open_mat(path: Path, limit: int, stack: ExitStack) -> list[Member]:
    """The variables of a MATLAB file of any version."""
    with path.open("rb") as stream:
        head = stream.read(520)
    if not head:
        raise InputError(f"{path.name} is empty")
    if b"MATLAB 7.3" in head[:128] or b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]):
        return open_hdf5(path, limit, stack, transposed=True)
    from scipy.io import loadmat, whosmat

    def member(key: str, shape: tuple[int, ...], kind: str) -> Member:
        refused = "" if kind in _WIDTHS else f"is a MATLAB {kind}; allowed: numbers and logicals"
        size = math.prod(shape) * _WIDTHS.get(kind, 0)
        return Member(key, lambda _: loadmat(path, variable_names=[key])[key], shape, size, refused)

    return [member(*variable) for variable in whosmat(path)]


def open_hdf5(path: Path, limit: int, stack: ExitStack, transposed: bool = False) -> list[Member]:
    """The data sets of an HDF5 file, "test/codes" inside groups; the file stays open as long as `stack`.

    HDF5 can point to other files; such links and storage are refused. MATLAB stores columns first, so that its
    arrays arrive `transposed`.
    """
    import h5py

    file = stack.enter_context(h5py.File(path, "r"))
    found = []
    for member in _walk(file, "", transposed, 0):
        found.append(member)
        if len(found) > _MOST:
            raise InputError(f"{path.name} holds more than {_MOST:,} objects")
    return found


def _walk(group: Any, prefix: str, transposed: bool, depth: int) -> Iterator[Member]:
    import h5py

    for name in group:
        key = f"{prefix}{name}"
        if name.startswith("#"):  # what MATLAB's cells point to
            continue
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield _refused(key, "is a link to elsewhere, which is not followed")
            continue
        data = group[name]
        if not isinstance(data, h5py.Dataset):
            inside = (
                list(_walk(data, f"{key}/", transposed, depth + 1))
                if depth < _DEEPEST and isinstance(data, h5py.Group) and "MATLAB_sparse" not in data.attrs
                else []
            )
            yield from inside or [_refused(key, _NO_ARRAY)]
        else:
            yield _data_set(data, key, transposed)


_NO_ARRAY = "is no plain numeric array (sparse matrices and cells are not read)"


def _refused(key: str, reason: str) -> Member:
    return Member(key, lambda kind: None, refused=reason)


def _data_set(data: Any, key: str, transposed: bool) -> Member:
    import h5py

    text = not transposed and (h5py.check_string_dtype(data.dtype) is not None)
    if data.shape is None or not (text or data.dtype.kind in "biuf"):
        return _refused(key, _NO_ARRAY)
    if data.external or data.is_virtual:
        return _refused(key, "keeps its data in another file, which is not followed")
    size = data.size * max(1, data.dtype.itemsize)
    if text:
        return Member(key, lambda kind: data.asstr(errors="surrogateescape")[()], data.shape, size)
    if "MATLAB_empty" in data.attrs:
        return _refused(key, "is empty")
    if transposed:
        return Member(key, lambda kind: np.ascontiguousarray(data[()].T), data.shape[::-1], size)
    return Member(key, lambda kind: data[()], data.shape, size)
