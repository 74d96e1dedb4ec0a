"""Arrays in numpy's format, read with guards: nothing is unpickled, no memory is taken on a header's word."""

from __future__ import annotations

import io
import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError

LIMIT = 8 << 30  # bytes that the arrays of one file may claim


def check_size(claimed: int, what: str, limit: int = LIMIT) -> None:
    """Raise InputError where an array claims more bytes than the limit."""
    if claimed > limit:
        raise InputError(f"{what} claims {claimed / 1e9:.1f} GB, over the limit of {limit / 1e9:.1f} GB")


_FOUND = {b"\x80": "a pickle, which is not loaded", b"P": "a zip archive (.npz?)", b"\x89": "an HDF5 file"}


def short(error: BaseException) -> str:
    """An error's text in one line of at most 160 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def read_npy(stream: IO[bytes], size: int, what: str, limit: int = LIMIT) -> NDArray[Any]:
    """One array in numpy's format from a stream of `size` bytes; InputError for anything else."""
    shape, fortran, dtype = read_header(stream, what)
    claimed = math.prod(shape) * dtype.itemsize
    check_size(claimed, what, limit)
    left = size - stream.tell()
    if claimed > left:
        raise InputError(f"{what} is truncated: its header claims {claimed} bytes, {left} are there")
    data = stream.read(claimed)
    if len(data) != claimed:
        raise InputError(f"{what} is truncated: its header claims {claimed} bytes, {len(data)} could be read")
    try:
        return np.ndarray(shape, dtype, data, order="F" if fortran else "C")
    except (ValueError, TypeError) as error:  # sides whose product is 0 and which are too long all the same
        raise InputError(f"{what}: the header claims shape {shape}: {short(error)}") from None


def read_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array in numpy's format; InputError for anything else."""
    magic = stream.read(8)
    if not magic.startswith(b"\x93NUMPY"):
        seen = _FOUND.get(magic[:1])
        raise InputError(f"{what} is no .npy array" + (f" but {seen}" if seen else ""))
    try:
        version = np.lib.format.read_magic(io.BytesIO(magic))
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        if version > (2, 0):
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = read(stream)
    except Exception as error:  # noqa: BLE001 - a header is Python text, and fails in as many ways
        raise InputError(f"{what}: the header cannot be read: {short(error)}") from None
    if dtype.hasobject:
        raise InputError(f"{what} holds Python objects (a pickle), which are not loaded")
    if any(side < 0 for side in shape) or not dtype.itemsize:
        raise InputError(f"{what}: the header claims shape {shape} of {dtype}")
    return shape, bool(fortran), dtype
