"""The list files that hashing repositories pass around: `<path> <0/1> <0/1> ...`, or `<path> <class index>`.

Read with all that circulates: trailing spaces, CRLF, absolute paths of somebody else's machine, backslashes. What
cannot be meant is refused with file and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.errors import InputError

Duplicates = Literal["refuse", "drop"]
#: The largest list that circulates (NUS-WIDE, 81 concepts) is below 60 MB.
MAX_BYTES = 2**30
#: Components of a written path that are looked for below the folder.
_LONGEST = 6
#: `C:` of Windows, `file:` of a URL; a name may hold a colon of its own.
_DRIVE = re.compile(r"[A-Za-z]+:")
_LABELS = re.compile(r"(?:\s+[+-]?\d+)+$")


@dataclass(frozen=True)
class ListFile:
    """One list: the paths as written, the label fields (n, columns) as int64, and the line numbers."""

    file: Path
    paths: Sequence[str]
    fields: np.ndarray
    lines: Sequence[int]

    @property
    def columns(self) -> int:
        """Label fields a line; one means a class index."""
        return int(self.fields.shape[1])

    def where(self, row: int) -> str:
        """`train.txt line 3`."""
        return f"{self.file.name} line {self.lines[row]}"


def read_list(file: Path, columns: int | None = None) -> ListFile:
    """Read one list file; `columns` is the number of label fields that every line must have (None: the first's).

    Raises InputError with file and line for a line without labels, with another number of them, or with a field
    that is neither 0 nor 1 (several fields) or no class index (one field).
    """
    paths: list[str] = []
    fields: list[list[int]] = []
    lines: list[int] = []
    for number, line in enumerate(_text(file).split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        where = f"{str(file)!r} line {number}"
        found = _LABELS.search(line)
        if found is None:
            raise InputError(f"{where} has no label after its path: {line[:80]!r}")
        labels = [int(field) for field in found[0].split()]
        columns = columns or len(labels)
        if len(labels) != columns:
            raise InputError(f"{where} has {len(labels)} label fields; the lines before have {columns}")
        wrong = [label for label in labels if label < 0 or (columns > 1 and label > 1)]
        if wrong or max(labels) > 10**6:
            allowed = "0 and 1" if columns > 1 else "class indices from 0"
            raise InputError(f"{where} has the label field {(wrong or labels)[0]}; allowed: {allowed}")
        paths.append(line[: found.start()].strip())
        fields.append(labels)
        lines.append(number)
    if not paths:
        raise InputError(f"list {str(file)!r} names no image")
    return ListFile(file, paths, np.array(fields, dtype=np.int64), lines)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"list {str(file)!r} is larger than {MAX_BYTES:,} bytes")
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"missing list file {str(file)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"list {str(file)!r} cannot be read: {error}") from None


def count_classes(lists: Sequence[ListFile]) -> int:
    """Classes that lists need: their columns, or one more than the largest class index."""
    return max(one.columns if one.columns > 1 else int(one.fields.max()) + 1 for one in lists)


def short(path: str) -> str:
    """The last two components of a path, with forward slashes: what is the same on every machine."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts[-2:])


class Resolver:
    """Finds listed images below a folder, whatever stood before: by ever shorter ends of the written path.

    `inside`: sub-folders of it where images may lie as well, such as `train` and `val`.
    """

    def __init__(self, folder: Path, inside: Sequence[str] = ()) -> None:
        self.folder = folder
        self._places = ["", *(f"{place}/" for place in inside)]
        self._last = (2, "")  # what found the image before; the next one is mostly found alike

    def find(self, path: str) -> tuple[Path, str]:
        """The file and its name below the folder; a file that is nowhere keeps its last two components."""
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        if ".." in parts:  # only what follows can be meant
            parts = parts[len(parts) - parts[::-1].index("..") :]
        if parts and _DRIVE.fullmatch(parts[0]):
            parts = parts[1:]
        lengths = range(min(len(parts), _LONGEST), 0, -1)
        choices = [(length, place) for length in lengths for place in self._places]
        if self._last[0] > 1 and self._last in choices:
            choices.insert(0, self._last)
        for length, place in choices:
            name = place + "/".join(parts[-length:])
            if os.path.isfile(os.path.join(self.folder, name)):
                self._last = (length, place)
                return self.folder / name, name
        return self.folder / "/".join(parts[-2:]), "/".join(parts[-2:])


@dataclass(frozen=True)
class Merged:
    """Several lists as one set: every image once, in the order of the lists, with its rows in each part."""

    names: list[str]
    paths: list[str]
    labels: np.ndarray
    parts: dict[str, np.ndarray]
    origins: list[str]


def merge(
    lists: Mapping[str, ListFile], classes: int, names: Mapping[str, Sequence[str]], duplicates: Duplicates
) -> Merged:
    """Put lists together: `lists` and `names` (what each line's image is called) by part.

    Raises InputError with both lines for an image that is twice in one list (`duplicates="drop"` keeps the first)
    or has other labels in another list.
    """
    row_of: dict[str, int] = {}
    labels: list[np.ndarray] = []
    paths: list[str] = []
    origins: list[str] = []
    parts: dict[str, np.ndarray] = {}
    for part, listed in lists.items():
        rows: dict[int, str] = {}
        hot = _hot(listed, classes)
        for line, name in enumerate(names[part]):
            where = listed.where(line)
            row = row_of.setdefault(name, len(labels))
            if row == len(labels):
                labels.append(hot[line])
                paths.append(listed.paths[line])
                origins.append(where)
            elif (labels[row] != hot[line]).any():
                raise InputError(f"{where} gives image {name!r} other labels than {origins[row]}")
            if row in rows and duplicates == "refuse":
                raise InputError(
                    f"{where} repeats image {name!r} of {rows[row]}; remove it, or drop repeats with "
                    '`duplicates = "drop"`'
                )
            rows.setdefault(row, where)
        parts[part] = np.array(list(rows), dtype=np.int64)
    return Merged(list(row_of), paths, np.stack(labels), parts, origins)


def _hot(listed: ListFile, classes: int) -> np.ndarray:
    if listed.columns > 1:
        if listed.columns != classes:
            raise InputError(
                f"{str(listed.file)!r} has {listed.columns} label columns; {classes} are expected"
            )
        return listed.fields.astype(np.uint8)
    indices = listed.fields[:, 0]
    outside = np.flatnonzero(indices >= classes)
    if outside.size:
        raise InputError(
            f"{listed.where(int(outside[0]))} has class index {indices[outside[0]]}; allowed: 0 to {classes - 1}"
        )
    return np.eye(classes, dtype=np.uint8)[indices]


def listed_files(
    lists: Mapping[str, ListFile], classes: int, resolver: Resolver, duplicates: Duplicates = "refuse"
) -> ImageFiles:
    """The images of one or several lists; the part named `all` becomes no part.

    Raises InputError as `merge` does; images that are not there are left to decoding, which names their lines.
    """
    found: dict[str, Path] = {}
    names: dict[str, list[str]] = {}
    for part, listed in lists.items():
        names[part] = []
        for path in listed.paths:
            file, name = resolver.find(path)
            found.setdefault(name, file)
            names[part].append(name)
    merged = merge(lists, classes, names, duplicates)
    parts = {part: rows for part, rows in merged.parts.items() if part != "all"}
    return ImageFiles(
        paths=[found[name] for name in merged.names],
        labels=merged.labels,
        names=np.array(merged.names),
        parts=parts or None,
        origins=merged.origins,
    )
