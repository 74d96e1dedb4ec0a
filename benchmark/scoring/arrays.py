"""numpy's own files, read by their headers: `.npy` and `.npz`."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmark.files.arrays import read_header, read_npy
from benchmark.scoring.member import Member


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
            shape = read_header(stream, what)[0]
    except Exception:  # noqa: BLE001 - reading it says what is wrong, if it is needed at all
        shape = None
    return Member(key, read, shape, info.file_size)
