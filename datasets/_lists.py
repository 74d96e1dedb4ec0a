"""The list files that hashing repositories pass around: `<path> <0/1> <0/1> ...`, or `<path> <class index>`.

Read with all that circulates: trailing spaces, CRLF, absolute paths of somebody else's machine, backslashes. What
cannot be meant is refused with file and line.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.errors import InputError

Duplicates = Literal["refuse", "drop"]
#: The largest list that circulates (NUS-WIDE, 81 concepts) is below 60 MB.
MAX_BYTES = 2**30
#: `C:` of Windows, `file:` of a URL; a name may hold a colon of its own.
_DRIVE = re.compile(r"[A-Za-z]+:")
#: The fields at the end of a line that are numbers, as `savetxt` writes them too.
_NUMBERS = re.compile(r"(?:\s+[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)+$")
#: Bytes that the labels of a list may take as columns of 0 and 1.
_LABEL_BYTES = 2**32


@dataclass(frozen=True)
class Line:
    """One line of a list: its number, the path as written, the labels behind it, and what is wrong with them."""

    number: int
    path: str
    labels: tuple[int, ...]
    problem: str = ""


def parse_lines(file: Path) -> Iterator[Line]:
    """Every line of a list file that is not empty. A path may hold spaces; the numbers at the end are its labels.

    Raises InputError for a file that cannot be read.
    """
    for number, line in enumerate(_text(file).split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        if "\0" in line:
            yield Line(number, line.replace("\0", ""), (), "holds a zero byte: is it UTF-16, or no text?")
            continue
        found = _NUMBERS.search(line)
        if found is None:
            yield Line(number, line, ())
            continue
        fields = found[0].split()
        broken = next((field for field in fields if not float(field).is_integer()), "")
        path = line[: found.start()].strip()
        if broken:
            yield Line(number, path, (), f"has the label field {broken}; allowed: whole numbers")
        elif any(abs(float(field)) >= 2**53 for field in fields):
            yield Line(
                number, path, (), f"has the label field {fields[0]}, which is too large for a class index"
            )
        else:
            yield Line(number, path, tuple(int(float(field)) for field in fields))


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
    fields: list[tuple[int, ...]] = []
    lines: list[int] = []
    for line in parse_lines(file):
        where, labels = f"{str(file)!r} line {line.number}", line.labels
        if line.problem:
            raise InputError(f"{where} {line.problem}")
        if not labels:
            raise InputError(f"{where} has no label after its path: {line.path[:80]!r}")
        columns = columns or len(labels)
        if len(labels) != columns:
            raise InputError(f"{where} has {len(labels)} label fields; the lines before have {columns}")
        wrong = [label for label in labels if label < 0 or (columns > 1 and label > 1)]
        if wrong:
            allowed = "0 and 1" if columns > 1 else "class indices from 0"
            raise InputError(f"{where} has the label field {wrong[0]}; allowed: {allowed}")
        paths.append(line.path)
        fields.append(labels)
        lines.append(line.number)
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


def class_numbers(lists: Sequence[ListFile]) -> list[int]:
    """The classes of lists, by the numbers that they have there: columns, or all class indices that occur."""
    columns = max(one.columns for one in lists)
    if columns > 1:
        return list(range(columns))
    return sorted({int(number) for one in lists for number in np.unique(one.fields)})


def recoded(listed: ListFile, numbers: Sequence[int]) -> ListFile:
    """The same list with each class index replaced by its place among `numbers`, so that there are no gaps."""
    if listed.columns > 1:
        return listed
    return replace(listed, fields=np.searchsorted(np.asarray(numbers), listed.fields))


def components(path: str) -> list[str]:
    """The components of a path, whatever its slashes."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def short(path: str) -> str:
    """The last two components of a path, with forward slashes: what is the same on every machine."""
    return "/".join(components(path)[-2:])


class Resolver:
    """Finds listed images below a folder, whatever stood before their paths on the machine where they were listed.

    A path as written wins. Otherwise it begins at its first component that is a sub-folder here, or, where all
    paths of a list lie in one folder that is not here, at its name. So no image stands in for a missing one that
    has the same name elsewhere. `inside`: sub-folders where images may lie as well, such as `train` and `val`.
    `flat`: all images may lie in one folder here; only for lists whose file names are unique by themselves.
    """

    def __init__(self, folder: Path, inside: Sequence[str] = (), *, flat: bool = False) -> None:
        self.folder, self._flat = folder, flat
        self._places = ["", *(f"{place}/" for place in inside)]
        self._folders = dict[str, bool]()

    def find(self, paths: Sequence[str]) -> Found:
        """The files of a list. One that is nowhere keeps its path from where it begins, or two components."""
        parts = [_parts(path) for path in paths]
        names, before = list[str](), Counter[str]()
        by_name = self._flat or len({tuple(one[:-1]) for one in parts}) == 1
        for one in parts:
            start = 0 if self._placed("/".join(one)) else self._start(one, by_name)
            name = "/".join(one[start:])
            names.append(self._placed(name) or name)
            before.update(["/".join(one[:start])] if start else [])
        return Found([self.folder / name for name in names], names, before)

    def _start(self, parts: list[str], by_name: bool) -> int:
        for start, part in enumerate(parts[:-1]):
            if part not in self._folders:
                self._folders[part] = any((self.folder / place / part).is_dir() for place in self._places)
            if self._folders[part]:
                return start
        return len(parts) - 1 if by_name else max(0, len(parts) - 2)

    def _placed(self, name: str) -> str:
        """The name with the place where the file lies; empty for one that is nowhere."""
        names = (f"{place}{name}" for place in self._places)
        return next((one for one in names if name and os.path.isfile(os.path.join(self.folder, one))), "")


@dataclass(frozen=True)
class Found:
    """Listed images: their files, their names below the folder, and how often what was left out before them."""

    files: list[Path]
    names: list[str]
    left_out: Mapping[str, int]

    def note(self, file: str) -> str:
        """What to tell the user of a list that was not read as written; empty for one that was."""
        if not self.left_out:
            return ""
        first, *others = self.left_out
        more = f" and {len(others)} other beginnings" if others else ""
        return f"{file}: {first!r}{more} left out before {sum(self.left_out.values()):,} paths"


def _parts(path: str) -> list[str]:
    parts = components(path)
    if ".." in parts:  # only what follows can be meant
        parts = parts[len(parts) - parts[::-1].index("..") :]
    return parts[1:] if parts and _DRIVE.fullmatch(parts[0]) else parts


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
    if len(listed.fields) * classes > _LABEL_BYTES:
        raise InputError(
            f"{str(listed.file)!r}: {len(listed.fields):,} images x {classes:,} classes are too many"
        )
    indices = listed.fields[:, 0]
    outside = np.flatnonzero(indices >= classes)
    if outside.size:
        raise InputError(
            f"{listed.where(int(outside[0]))} has class index {indices[outside[0]]}; allowed: 0 to {classes - 1}"
        )
    hot = np.zeros((len(indices), classes), dtype=np.uint8)
    hot[np.arange(len(indices)), indices] = 1
    return hot


def listed_files(
    lists: Mapping[str, ListFile], classes: int, resolver: Resolver, duplicates: Duplicates = "refuse"
) -> ImageFiles:
    """The images of one or several lists; the part named `all` becomes no part.

    Raises InputError as `merge` does; images that are not there are left to decoding, which names their lines.
    """
    found: dict[str, Path] = {}
    names: dict[str, list[str]] = {}
    notes = list[str]()
    for part, listed in lists.items():
        images = resolver.find(listed.paths)
        names[part] = images.names
        for name, file in zip(images.names, images.files, strict=True):
            found.setdefault(name, file)
        notes += filter(None, [images.note(listed.file.name)])
    merged = merge(lists, classes, names, duplicates)
    parts = {part: rows for part, rows in merged.parts.items() if part != "all"}
    return ImageFiles(
        paths=[found[name] for name in merged.names],
        labels=merged.labels,
        names=np.array(merged.names),
        parts=parts or None,
        origins=merged.origins,
        facts={"paths": "; ".join(notes)} if notes else {},
    )
