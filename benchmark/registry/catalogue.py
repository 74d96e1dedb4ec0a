"""The list of plug-ins, kept on disk under a digest of everything that a scan depends on."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import asdict
from pathlib import Path

import benchmark
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.files.write import write_file
from benchmark.registry.entry import KINDS, Entry
from benchmark.registry.scan import scan
from benchmark.registry.sources import entry_point_sources, entry_points, package_folder, tree

#: A scan in a process of its own, with this one's import path: a file for the result, the path as JSON.
_SCAN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from benchmark.registry.catalogue import scan_into; scan_into(sys.argv[1])"
)

#: The harness's own files that decide what a scan finds.
_OWN = (
    "contracts/dataset.py",
    "contracts/dataset_info.py",
    "contracts/method.py",
    "contracts/method_info.py",
    "contracts/task.py",
    "losses.py",
    "shallow.py",
    "spec/fit.py",
    "spec/values.py",
    "stepwise.py",
    "registry/digests.py",
    "registry/entry.py",
    "registry/former_digests.json",
    "registry/former_names.py",
    "registry/scan.py",
    "registry/sources.py",
)


@functools.cache
def catalogue() -> tuple[Entry, ...]:
    """Every plug-in of every kind, broken ones included; scans when a source has changed.

    A scan imports every plug-in and torch with them. Unless torch is here already, another process does it: a
    report or a list stays without torch. Raises InputError when that process dies.
    """
    path = cache_root() / "index" / f"{_sources_digest()}.json"
    try:
        return _read(path)
    except (OSError, ValueError, TypeError):
        pass
    found = scan() if "torch" in sys.modules else _scan_elsewhere()
    with contextlib.suppress(OSError):  # a read-only home only makes the next listing slower
        _write(path, found)
    return found


def scan_into(file: str) -> None:
    """Scan, and write what was found into a file."""
    _write(Path(file), scan())


def _scan_elsewhere() -> tuple[Entry, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-c", _SCAN, str(file), json.dumps(sys.path)]
        # What plug-ins print while they are imported must not stand among a command's own output.
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        sys.stderr.write(done.stderr if file.is_file() else "")
        try:
            return _read(file)
        except (OSError, ValueError, TypeError):
            last = " ".join(done.stderr.split("\n")[-2:]).strip()[:500] or f"exit status {done.returncode}"
            raise InputError(f"the methods and data sets could not be listed: {last}") from None


def _read(file: Path) -> tuple[Entry, ...]:
    return tuple(Entry(**{**row, "former": tuple(row["former"])}) for row in json.loads(file.read_text()))


def _write(file: Path, found: tuple[Entry, ...]) -> None:
    write_file(file, json.dumps([asdict(entry) for entry in found]).encode())


def refresh() -> None:
    """Forget the index held by this process, so that the next look-up reads the sources again."""
    catalogue.cache_clear()


def _sources_digest() -> str:
    """A digest of everything a scan depends on: sources, entry points, interpreter, installed packages."""
    hasher = hashlib.sha256(sys.version.encode())
    for key in ("purelib", "platlib"):  # its time changes when a package is installed or removed
        folder = Path(sysconfig.get_paths()[key])
        hasher.update(str(folder.stat().st_mtime_ns if folder.exists() else 0).encode())
    for name in _OWN:
        hasher.update(_content(Path(benchmark.__file__).parent / name))
    for kind in KINDS:
        for path in tree(package_folder(kind)):
            hasher.update(path.name.encode() + _content(path))
        for point in entry_points(kind):
            hasher.update(f"{point.name}={point.value}".encode())
            for path in entry_point_sources(point):
                hasher.update(str(path).encode() + _content(path))
    return hasher.hexdigest()[:24]


def _content(path: Path) -> bytes:
    """A source file's bytes; nothing for one that went away since it was listed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
