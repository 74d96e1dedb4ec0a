"""A long list or table as it was read, kept for the next process: served while its origins are the same.

Those are the bytes of its documents, what the declaration says of them, and the folders in which its images were
looked for: whoever adds, removes or renames a file changes its folder's times.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import ImageFiles, Origins, PathsBelow, Shelf

#: Documents below this size are read again: that is as quick.
LEAST_BYTES = 2**20
#: Nanoseconds: a folder that was changed so shortly before may change again without another time.
_SETTLED = 3 * 10**9
#: What a declaration says of a set's title, budget or pixels lists no other images.
_ELSEWHERE = frozenset(
    {"title", "source", "protocol", "epochs", "size", "channels", "fit", "zoom", "crop_padding", "flip"}
)


@dataclass(frozen=True)
class Facts:
    """What is known of a list or table before its images are looked for."""

    classes: tuple[str, ...] = ()
    several: bool = False
    parts: frozenset[str] = frozenset()


class Kept:
    """The place of one data set's listing on a shelf."""

    def __init__(
        self, shelf: Shelf, told: Mapping[str, Any], documents: Sequence[Path], folder: Path
    ) -> None:
        self._shelf, self._documents, self._folder = shelf, documents, folder
        self._told = {name: value for name, value in told.items() if name not in _ELSEWHERE}

    def key(self) -> str:
        """Over contents; empty for documents that are short or cannot be read."""
        try:
            if sum(file.stat().st_size for file in self._documents) < LEAST_BYTES:
                return ""
            held = []
            for file in self._documents:
                with file.open("rb") as stream:
                    held.append(hashlib.file_digest(stream, "blake2b").hexdigest())
        except (OSError, ValueError):
            return ""
        told = [self._told, os.path.abspath(self._folder), [file.name for file in self._documents], held]
        return hashlib.blake2b(json.dumps(told, default=str).encode(), digest_size=16).hexdigest()

    def read(self, key: str | None = None) -> tuple[Facts, Callable[[], ImageFiles]] | None:
        """What was kept; None where there is nothing, or something has changed since. key: just taken."""
        key = self.key() if key is None else key
        arrays = self._shelf.read(key) if key else None
        if arrays is None:
            return None
        told = json.loads(arrays["told"].tobytes())
        if self._stamps(told["folders"]) != told["stamps"]:
            return None
        facts = Facts(tuple(told["classes"]), told["several"], frozenset(told["parts"]))
        return facts, lambda: self._files(arrays, told)

    def _files(self, arrays: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> ImageFiles:
        names = arrays["names"].tobytes().decode(errors="surrogateescape").split("\0")
        ends = np.cumsum([count for _, count in told["origins"]]).tolist()
        origins = [
            (file, arrays["lines"][end - count : end])
            for (file, count), end in zip(told["origins"], ends, strict=True)
        ]
        parts = {part: arrays[f"part-{part}"] for part in told["rows"]}
        return ImageFiles(
            PathsBelow(self._folder, names),
            arrays["labels"],
            np.array(names),
            parts or None,
            origins=Origins(*origins),
            facts=told["facts"],
        )

    def write(
        self, before: str, begun: int, facts: Facts, files: ImageFiles, folders: Collection[str]
    ) -> None:
        """Keep a listing.

        before: the key before anything was read. begun: when images began to be looked for, in nanoseconds. What
        has changed since is not kept.
        folders: those where images were looked for, below the data set's own.
        """
        assert isinstance(files.paths, PathsBelow)
        assert isinstance(files.origins, Origins)
        names, listed = "\0".join(files.paths.names), sorted({*folders, *_above(folders)})
        stamps = self._stamps(listed)
        latest = max((time for one in stamps if one for time in one[:2]), default=0)
        if names.count("\0") != len(files.paths) - 1 or latest > begun - _SETTLED:
            return
        told = {
            "folders": listed,
            "stamps": stamps,
            "classes": facts.classes,
            "several": facts.several,
            "parts": sorted(facts.parts),
            "origins": [(file, len(lines)) for file, lines in files.origins.files],
            "rows": list(files.parts or {}),
            "facts": dict(files.facts),
        }
        arrays = {
            "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
            "names": np.frombuffer(names.encode(errors="surrogateescape"), np.uint8),
            "lines": np.concatenate([np.asarray(lines, np.int64) for _, lines in files.origins.files]),
            "labels": files.labels,
        }
        arrays |= {f"part-{part}": rows for part, rows in (files.parts or {}).items()}
        if self.key() == before:
            self._shelf.write(before, arrays)

    def _stamps(self, folders: Sequence[str]) -> list[list[int]]:
        """Times and number of each folder, nothing for one that is not there."""
        found = []
        for name in folders:
            try:
                seen = os.stat(os.path.join(self._folder, name))
                found.append([seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev])
            except (OSError, ValueError):
                found.append([])
        return found


def _above(folders: Collection[str]) -> set[str]:
    """The folders on the way to others, the first included: what is made or replaced there counts."""
    return {name[:end] for name in folders for end, letter in enumerate(name) if letter == "/"} | {""}
