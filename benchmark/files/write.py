"""Files that are there whole or not at all, whatever ends the process."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO


def write_file(path: Path, content: bytes, *, folders: bool = True, flush: bool = True) -> None:
    """Write beside, flush to disk, rename over: a killed process leaves the old file or the new one.

    Only regular files are replaced: symbolic links are followed to what they name, and a pipe, a device or the
    file that this process prints into is written through. Makes the folder when it is missing (`folders`). Raises
    OSError when that or the writing fails.
    """
    if stream := _own_stream(path):
        stream.flush()
        _write_through(stream.fileno(), content)
    elif _status(path, stat.S_ISREG) is False:
        with path.open("wb", buffering=0) as file:
            _write_through(file.fileno(), content)
    else:
        write_files({path: content}, path, folders=folders, flush=flush)


def _status(path: Path, kind: Callable[[int], bool]) -> bool | None:
    """Whether what a path names, links followed, is of a kind; None where nothing is there."""
    try:
        return kind(os.stat(path).st_mode)
    except FileNotFoundError:
        return None


def _own_stream(path: Path) -> IO[str] | None:
    """Standard output or error, where the path is another name of it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if os.path.samestat(os.stat(path), os.fstat(stream.fileno())):
                return stream
    return None


def _write_through(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_files(
    contents: Mapping[Path, bytes | None], last: Path, *, folders: bool = True, flush: bool = True
) -> None:
    """Replace files that belong together; None removes one. `last` is absent while the others change.

    All are written beside before any is touched, so that a full disk leaves every old file as it was. Symbolic
    links are followed. Makes the folders that are missing. Raises OSError when that or the writing fails.
    """
    contents = {path if content is None else _followed(path): content for path, content in contents.items()}
    last = _followed(last)
    scratches = {path: scratch_of(path) for path, content in contents.items() if content is not None}
    try:
        for path, scratch in scratches.items():
            if folders:
                path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:
                file.write(contents[path] or b"")
                file.flush()
                if flush:
                    os.fsync(file.fileno())
            if path.exists():
                scratch.chmod(stat.S_IMODE(path.stat().st_mode))
        if len(contents) > 1:
            last.unlink(missing_ok=True)
        for path in sorted(contents, key=lambda path: path == last):
            if path in scratches:
                scratches[path].replace(path)
            else:
                path.unlink(missing_ok=True)
        for path in scratches:
            remove_leftovers(path)
    except BaseException:
        for scratch in scratches.values():
            with contextlib.suppress(OSError):
                scratch.unlink()
        raise


def _followed(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def scratch_of(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}.tmp")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())[:64]


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left beside a file; another machine's may still be at work."""
    start = f".{path.name}.{_host()}-"
    for found in path.parent.glob(f".{glob.escape(path.name)}.*.tmp*"):  # a database leaves a journal too
        process = found.name.removeprefix(start).partition(".tmp")[0]
        if found.name.startswith(start) and process.isdigit() and not alive(int(process)):
            with contextlib.suppress(OSError):
                found.unlink()


def alive(process: int) -> bool:
    """Whether a process of this machine runs, by its number."""
    if os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
