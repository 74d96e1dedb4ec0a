"""Unpacking archives that others made: nothing leaves the folder, nothing grows past a limit."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from benchmark.errors import InputError

#: CIFAR-10 unpacks to 0.2 GB.
MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 1_000_000
#: What Windows takes for another folder or drive; elsewhere a colon inside a name is a letter like any other.
_ODD = re.compile(r".*\\.*|.*:.*" if os.name == "nt" else r".*\\.*|[A-Za-z]:", re.DOTALL)
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error)


def unpack(
    archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
) -> None:
    """Unpack a `.tar`, `.tar.gz`, `.tgz` or `.zip` into `folder`, all of it or nothing.

    Only plain files and folders are taken. Raises InputError for a name that would leave the folder, a link or a
    device, more bytes or members than allowed, or an archive that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        reader = _zip_members if archive.suffix.lower() == ".zip" else _tar_members
        left, count = max_bytes, 0
        for name, size, stream in reader(archive, max_bytes):
            left, count = left - size, count + 1
            if left < 0 or count > max_members:
                raise InputError(
                    f"archive {archive.name!r} unpacks to more than {max_bytes:,} bytes or too many files"
                )
            _write(stream, scratch / _inside(name, archive), size, archive)
        for top in sorted(scratch.iterdir()):
            if (folder / top.name).exists():
                raise InputError(f"archive {archive.name!r}: {str(folder / top.name)!r} exists already")
            top.rename(folder / top.name)
    except (*_BROKEN, tarfile.TarError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error) or type(error).__name__
        raise InputError(f"archive {str(archive)!r} cannot be unpacked: {reason}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _inside(name: str, archive: Path) -> Path:
    """The member's path below the folder. Raises InputError for one that would lie elsewhere."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part not in (".", "")]
    if path.is_absolute() or ".." in parts or not parts or any(_ODD.fullmatch(part) for part in parts):
        raise InputError(f"archive {archive.name!r} holds {name!r}, which would leave its folder")
    return Path(*parts)


def _write(stream: IO[bytes], path: Path, size: int, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with path.open("xb") as file:  # a second member of one name is refused
        while left and (block := stream.read(min(left, 1 << 20))):
            file.write(block)
            left -= len(block)
    if left:
        raise InputError(f"archive {archive.name!r} is truncated inside {path.name!r}")


def _zip_members(path: Path, max_bytes: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                raise InputError(f"archive {path.name!r} holds a link, {member.filename!r}")
            with archive.open(member) as stream:
                yield member.filename, member.file_size, stream


def _tar_members(path: Path, max_bytes: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    # Headers count as well: a compressed one may claim gigabytes of its own.
    with gzip.open(path) if packed else path.open("rb") as stream:
        bounded: Any = _Bounded(stream, max_bytes + (64 << 20))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise InputError(f"archive {path.name!r} holds {member.name!r}, which is no plain file")
                yield member.name, member.size, content


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than a limit."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises ValueError past the limit."""
        if size < 0 or size > self._left:
            raise ValueError("it holds more than its limit")
        content = self._stream.read(size)
        self._left -= len(content)
        return content
