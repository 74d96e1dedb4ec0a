"""MATLAB files: version 5 through scipy, version 7.3 (HDF5) through h5py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scoring.claims import check_claim
from benchmark.scoring.keys import assign, role_of

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
Found = tuple[dict[str, Any], list[str]]


def _unread_ids(key: str, kind: str) -> bool:
    return (role_of(key) or "").endswith("_ids") and kind not in _WIDTHS


def load_v5(path: Path, limit: int) -> Found:
    """role -> array and all variable names of a version 4 or 5 file."""
    from scipy.io import loadmat, whosmat

    listing = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    # Ids are optional, and often cells of strings, which are not read: as if they were not there.
    roles = assign((key for key in listing if not _unread_ids(key, listing[key][1])), path.name)
    claimed = 0
    for key in roles.values():
        shape, kind = listing[key]
        if kind not in _WIDTHS:
            raise InputError(f"{path.name}: {key!r} is a MATLAB {kind}; allowed: numbers and logicals")
        claimed += math.prod(shape) * _WIDTHS[kind]
    check_claim(claimed, path.name, limit)
    content = loadmat(path, variable_names=list(roles.values()))
    found = {}
    for role, key in roles.items():
        array = content[key]
        found[role] = array.toarray() if hasattr(array, "toarray") else array
    return found, list(listing)


def load_v73(path: Path, limit: int) -> Found:
    """role -> array and all variable names of a version 7.3 file.

    HDF5 can point to other files; such links and storage are refused. MATLAB stores columns first, so
    every array arrives transposed.
    """
    import h5py

    with h5py.File(path, "r") as file:
        keys = [key for key in file if not key.startswith("#")]
        roles = assign(keys, path.name)
        found, claimed = {}, 0
        for role, key in roles.items():
            what = f"{path.name}: {key!r}"
            if not isinstance(file.get(key, getlink=True), h5py.HardLink):
                raise InputError(f"{what} is a link to elsewhere, which is not followed")
            data = file[key]
            if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
                raise InputError(f"{what} is no plain numeric array (sparse matrices and cells are not read)")
            if data.external or data.is_virtual:
                raise InputError(f"{what} keeps its data in another file, which is not followed")
            claimed += data.size * data.dtype.itemsize
            check_claim(claimed, path.name, limit)
            found[role] = np.ascontiguousarray(data[()].T)
        return found, keys
