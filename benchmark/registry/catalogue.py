"""The list of plug-ins, kept on disk under a digest of everything that a scan depends on."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path

import benchmark
from benchmark.datastore import cache_root
from benchmark.registry.entry import KINDS, Entry
from benchmark.registry.scan import scan
from benchmark.registry.sources import entry_point_sources, entry_points, package_folder, tree

#: The harness's own files that decide what a scan finds.
_OWN = (
    "contracts.py",
    "dataset.py",
    "spec.py",
    "registry/entry.py",
    "registry/scan.py",
    "registry/sources.py",
)


@functools.cache
def catalogue() -> tuple[Entry, ...]:
    """Every plug-in of every kind, broken ones included; scans when a source has changed."""
    path = cache_root() / "index" / f"{_sources_digest()}.json"
    try:
        return tuple(Entry(**row) for row in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        pass
    found = scan()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps([asdict(entry) for entry in found]))
        scratch.replace(path)
    except OSError:
        pass  # a read-only home only makes the next listing slower
    return found


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
