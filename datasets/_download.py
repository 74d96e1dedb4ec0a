"""Downloads that resume, are checked against their published checksum, and never leave a half file in place."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import InputError

log = logging.getLogger(__name__)

#: The largest single file of the data sets here (VOC 2012, STL-10) is below 3 GB.
MAX_BYTES = 8 * 2**30
_SCHEMES = ("https://", "http://", "file://")
_TIMEOUT = 60.0
_ATTEMPTS = 4


@dataclass(frozen=True)
class Remote:
    """One file to fetch: where from (mirrors in order), its name here (may hold folders), its checksum.

    md5: 32 hex digits as published, or an empty string where the publisher gives none (`size` is then checked).
    """

    urls: tuple[str, ...]
    path: str
    md5: str = ""
    size: int = 0


def fetch(remote: Remote, folder: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """Download one file into `folder` unless it is there with the right checksum; returns its path.

    What arrived so far is kept beside it as `<name>.part`, where the next call continues. Raises InputError when no
    mirror gives the whole file, when the checksum is another, or when it is larger than `max_bytes`.
    """
    target = folder / remote.path
    if target.is_file():
        if not remote.md5 or md5_of(target) == remote.md5:
            return target
        raise InputError(
            f"{str(target)!r} has another checksum than published ({remote.md5}); remove it first"
        )
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.is_file() and part.stat().st_size > 0
    resumed |= _fill(remote, part, max_bytes) > 1
    if remote.md5 and md5_of(part) != remote.md5 and resumed:
        log.warning("%s does not match its checksum after a resumed download; starting again", remote.path)
        part.unlink()
        _fill(remote, part, max_bytes)
    if remote.md5 and (found := md5_of(part)) != remote.md5:
        part.unlink()
        raise InputError(
            f"{remote.urls[0]} has checksum {found}, published is {remote.md5}; nothing was kept"
        )
    part.replace(target)
    return target


def md5_of(path: Path) -> str:
    """The MD5 of a file, 32 hex digits: a check against damage, the one that publishers give."""
    hasher = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def _fill(remote: Remote, part: Path, max_bytes: int) -> int:
    """Bring `part` to its full length, mirror by mirror, continuing after a broken connection.

    Returns the number of pieces it came in.
    """
    reasons: list[str] = []
    for url in remote.urls:
        if not url.startswith(_SCHEMES):
            raise InputError(f"{url!r} is no address to download from; allowed: {', '.join(_SCHEMES)}")
        for _ in range(_ATTEMPTS):
            before = part.stat().st_size if part.is_file() else 0
            try:
                _receive(url, part, remote.size, max_bytes)
                return len(reasons) + 1
            except (OSError, http.client.HTTPException, EOFError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                reasons.append(str(error) or type(error).__name__)
            after = part.stat().st_size if part.is_file() else 0
            if after == before:  # nothing came: another try will not help
                break
    kept = part.stat().st_size if part.is_file() else 0
    if kept == 0:
        part.unlink(missing_ok=True)
    state = f"; {kept:,} bytes are kept and the next call continues there" if kept else ""
    raise InputError(f"{reasons[-1]}{state}")


def _receive(url: str, part: Path, size: int, max_bytes: int) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "coophash-benchmark"})
    if have and url.startswith("http"):
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the file, or whole already
            _past_the_end(error, part, have)
            return
        raise
    with response:
        start = _start(response, url, have)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else size
        if total > max_bytes:
            raise InputError(f"{url} is {total:,} bytes; at most {max_bytes:,} are taken")
        with part.open("r+b" if part.is_file() else "w+b") as file, _bar(part.name, total) as advance:
            file.truncate(start if url.startswith("http") else 0)
            file.seek(start)
            advance(start)
            _copy(response, file, advance, max_bytes - start, url)
    found = part.stat().st_size
    if total and found < total:
        raise EOFError(f"the connection ended after {found:,} of {total:,} bytes")


def _past_the_end(error: urllib.error.HTTPError, part: Path, have: int) -> None:
    whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if whole and int(whole[1]) == have:
        return
    part.unlink()
    raise EOFError("what was kept does not fit the file there; starting again") from None


def _start(response: Any, url: str, have: int) -> int:
    """Where the answer begins: a server may send the rest (206) or all of it again (200)."""
    if not url.startswith("http") or response.status != 206:
        return 0
    given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not given or int(given[1]) > have:
        raise EOFError("the server sent another range than asked for")
    return int(given[1])


def _copy(response: Any, file: Any, advance: Callable[[int], None], left: int, url: str) -> None:
    while block := response.read(1 << 20):
        left -= len(block)
        if left < 0:
            raise InputError(f"{url} sends more than is taken")
        file.write(block)
        advance(len(block))


@contextlib.contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total or None)
        yield lambda count: progress.advance(task, count)


def fetch_all(name: str, root: Path | None, remotes: list[Remote], wanted: str) -> list[Path]:
    """Fetch several files into the data folder, which is made when it is not there.

    Raises InputError that names the data set and what belongs where; no empty folder stays behind.
    """
    if root is None:
        raise InputError(f"data set {name!r} needs a data folder: give --data-root or set BENCHMARK_DATA")
    existed = root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        return [fetch(remote, root) for remote in remotes]
    except (OSError, InputError) as error:
        _remove_empty_folders(root, keep_root=existed)
        address = remotes[0].urls[0]
        raise InputError(
            f"data set {name!r} is not under {str(root)!r} and its download failed ({error}); "
            f"put {wanted} there (from {address})"
        ) from error


def _remove_empty_folders(root: Path, *, keep_root: bool) -> None:
    for folder, _, _ in sorted(os.walk(root), reverse=True):
        if (Path(folder) != root or not keep_root) and not os.listdir(folder):
            os.rmdir(folder)
