"""Files that are there whole or not at all, whatever ends the process."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename over: a killed process leaves the old file or the new one.

    Makes the folder when it is missing. Raises OSError when that or the writing fails.
    """
    write_files({path: content}, path)


def write_files(contents: Mapping[Path, bytes | None], last: Path) -> None:
    """Replace files that belong together; None removes one. `last` is absent while the others change.

    All are written beside before any is touched, so that a full disk leaves every old file as it was. Makes the
    folders that are missing. Raises OSError when that or the writing fails.
    """
    scratches = {path: scratch_of(path) for path, content in contents.items() if content is not None}
    try:
        for path, scratch in scratches.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:
                file.write(contents[path] or b"")
                file.flush()
                os.fsync(file.fileno())
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
        if found.name.startswith(start) and process.isdigit() and not _alive(int(process)):
            with contextlib.suppress(OSError):
                found.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
