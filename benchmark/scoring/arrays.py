"""numpy's own files, read by their headers: `.npy` and `.npz`."""

from __future__ import annotations

import io
import math
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.scoring.claims import LIMIT, check_claim
from benchmark.scoring.member import Member

_FOUND = {b"\x80": "a pickle, which is not loaded", b"P": "a zip archive (.npz?)", b"\x89": "an HDF5 file"}


def short(error: BaseException) -> str:
    """An error's text in one line of at most 160 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def read_npy(stream: IO[bytes], size: int, what: str, limit: int = LIMIT) -> NDArray[Any]:
    """One array in numpy's format from a stream of `size` bytes; InputError for anything else."""
    shape, fortran, dtype = _header(stream, what)
    claimed = math.prod(shape) * dtype.itemsize
    check_claim(claimed, what, limit)
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


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
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


def open_npy(path: Path, limit: int) -> list[Member]:
    """The one array of a `.npy` file."""

    def read(kind: str) -> NDArray[Any]:
        with path.open("rb") as stream:
            return read_npy(stream, path.stat().st_size, path.name, limit)

    return [Member("", read)]


def open_npz(path: Path, limit: int, stack: ExitStack) -> list[Member]:
    """The arrays of a `.npz` file, which stays open as long as `stack`."""
    archive = stack.enter_context(zipfile.ZipFile(path))
    return [_zipped(archive, info, path.name, limit) for info in archive.infolist() if not info.is_dir()]


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, limit: int) -> Member:
    key = info.filename.removesuffix(".npy")
    what = f"{where}: {key!r}"

    def read(kind: str) -> NDArray[Any]:
        with archive.open(info) as stream:
            return read_npy(stream, info.file_size, what, limit)

    try:
        with archive.open(info) as stream:
            shape = _header(stream, what)[0]
    except Exception:  # noqa: BLE001 - reading it says what is wrong, if it is needed at all
        shape = None
    return Member(key, read, shape, info.file_size)
