"""What torch saved, read by its weights-only loader: tensors, numpy arrays, numbers, and what holds them."""

from __future__ import annotations

import pickle  # for the name of its exception only
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.arrays import check_size
from benchmark.scoring.member import Member, members_of


def open_pt(path: Path, limit: int) -> list[Member]:
    """The arrays of a `.pt` or `.pth` file; InputError where it holds anything that would have to be executed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_size(sum(info.file_size for info in archive.infolist()), path.name, limit)
    else:
        check_size(path.stat().st_size, path.name, limit)
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
            warnings.simplefilter("ignore")  # torch also warns about a pickle that it goes on to refuse
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to load it all the same
        raise InputError(
            f"{path.name} holds more than tensors, arrays and numbers, or is damaged; it is not loaded"
        ) from None
    found = list(members_of(content))
    if not found:
        raise InputError(f"{path.name} holds a {type(content).__name__}; expected a dictionary of tensors")
    return found


def _numpy_globals() -> list[Any]:
    """What a pickled numpy array of numbers names, under the names of numpy 1 and 2."""
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"}
    functions = (("_reconstruct", _empty), ("scalar", _scalar))
    modules = ("numpy._core.multiarray", "numpy.core.multiarray")
    named = [(function, f"{module}.{name}") for module in modules for name, function in functions]
    return [
        np.ndarray,
        np.dtype,
        *kinds,
        *named,
        (_no_bytes, "builtins.bytes"),
        (_no_bytes, "__builtin__.bytes"),
    ]


def _empty(kind: type, shape: Any, code: Any) -> Any:
    """What `numpy`'s own function makes before the array's state is set, whatever size a file claims here."""
    return np.ndarray((0,), np.int8)


def _no_bytes() -> bytes:
    """The data of an empty array, as old pickles write them."""
    return b""


def _scalar(dtype: Any, data: bytes = b"") -> Any:
    """A numpy number; no object, which numpy's own function would hand on."""
    return np.frombuffer(data, dtype)[0]
