"""The list files that hashing repositories pass around: `<path> <0/1> <0/1> ...`, or `<path> <class index>`.

Read with all that circulates: trailing spaces, CRLF, absolute paths of somebody else's machine, backslashes. What
cannot be meant is refused with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts import ImageFiles, Origins, PathsBelow
from benchmark.datasets._files import IMAGE_SUFFIXES, one_hot
from benchmark.datasets._paths import LONGEST, Resolver, short, unlike_a_path
from benchmark.datasets._text import read_text
from benchmark.errors import InputError

__all__ = [
    "Duplicates",
    "Line",
    "ListFile",
    "Resolver",
    "listed_files",
    "merge",
    "read_list",
    "renumbered",
    "scan_list",
    "short",
]

Duplicates = Literal["refuse", "drop"]
#: Largest class index, as int64 holds it.
_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf)", re.IGNORECASE)
_BITS = frozenset("01")
_INDEX = re.compile("[0-9]{1,18}")
#: Lines that are taken apart together.
_BLOCK = 2**16


@dataclass(frozen=True)
class Line:
    """One line of a list: its number, the path as written, its label fields, and what is wrong with them.

    A line that is wrong has no labels; one of a list without labels has none either, and nothing wrong.
    """

    number: int
    path: str
    labels: tuple[int, ...]
    wrong: str = ""


def scan_list(file: Path) -> list[Line]:
    """Every line of a list file that is not empty. This is how a list is read, by loading and by an audit.

    The labels are the numbers at the end of a line, so a path may hold spaces: several 0/1 (or -1/+1 in a file
    without a 0), or one class index. Raises InputError for a file that is no text or holds no line.
    """
    text = enumerate(read_text(file, "list file").split("\n"), start=1)
    lines = [_line(number, line.strip()) for number, line in text if line and not line.isspace()]
    if not lines:
        raise InputError(f"list {str(file)!r} names no image")
    several = [line for line in lines if len(line.labels) > 1]
    signed = not any(0 in line.labels for line in several)  # -1 means no
    low = -1 if signed else 0
    return [_checked(line, low) for line in lines]


def _line(number: int, line: str) -> Line:
    words = line.split()
    if _BITS.issuperset(words[1:]):
        return Line(number, words[0], tuple(map(int, words[1:])))
    path, fields = _split(line, words)
    values = [_whole(field) for field in fields]
    wrong = next((field for field, value in zip(fields, values, strict=True) if value is None), "")
    return Line(number, path, tuple(value for value in values if value is not None), wrong)


def _split(line: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """The path and the label fields: the numbers at the end, but for fractions that belong to a path's name."""
    start = len(words)
    while start > 1 and _NUMBER.fullmatch(words[start - 1]):
        start -= 1
    whole = len(words)
    while whole > start and _whole(words[whole - 1]) is not None:
        whole -= 1
    if start < whole < len(words) and not words[start - 1].lower().endswith(IMAGE_SUFFIXES):
        start = whole
    fields = list(words[start:])
    return (line.rsplit(None, len(fields))[0] if fields else line), fields


def _whole(field: str) -> int | None:
    """The whole number that a field is, `1.0` too; None for any other field."""
    try:
        return int(field)
    except ValueError:  # also of more digits than Python converts
        try:
            value = float(field)
        except ValueError:
            return None
        return int(value) if value.is_integer() and abs(value) <= 2**53 else None


def _checked(line: Line, low: int) -> Line:
    """The line with -1 as 0, or without labels and with what is wrong."""
    several = len(line.labels) > 1
    bounds = (low, 1) if several else (0, _LARGEST)
    wrong = line.wrong or next((str(one) for one in line.labels if not bounds[0] <= one <= bounds[1]), "")
    if wrong:
        allowed = "0 and 1" if several else f"0 and 1, or one class index from 0 to {_LARGEST}"
        return replace(line, labels=(), wrong=f"has the label field {wrong[:40]}; allowed: {allowed}")
    if several and low < 0:
        return replace(line, labels=tuple(max(one, 0) for one in line.labels))
    return line


@dataclass(frozen=True)
class ListFile:
    """One list: the paths as written, the label fields (n, columns) as integers, and the line numbers."""

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
    if (plain := _read_plain(file)) and columns in (None, plain.columns):
        return plain
    lines = scan_list(file)
    for line in lines:
        where = f"{str(file)!r} line {line.number}"
        if wrong := line.wrong or unlike_a_path(line.path):
            raise InputError(f"{where} {wrong}")
        if not line.labels:
            raise InputError(f"{where} has no label after its path: {line.path[:80]!r}")
        columns = columns or len(line.labels)
        if len(line.labels) != columns:
            raise InputError(f"{where} has {len(line.labels)} label fields; the lines before have {columns}")
    fields = np.array([line.labels for line in lines], dtype=np.int64)
    return ListFile(file, [line.path for line in lines], fields, [line.number for line in lines])


def _read_plain(file: Path) -> ListFile | None:
    """A list whose every line is a path without spaces and a class index, or as many 0/1; None for any other."""
    texts = read_text(file, "list file").split("\n")
    paths, lines = list[str](), list[int]()
    fields: list[np.ndarray] = []
    width = len(next((text.split() for text in texts if text and not text.isspace()), ""))
    for start in range(0, len(texts), _BLOCK):
        words = [text.split() for text in texts[start : start + _BLOCK]]
        lines += [line for line, one in enumerate(words, start=start + 1) if one]
        if not any(words):
            continue
        named, *columns = zip(*filter(None, words), strict=False)
        if len(columns) != width - 1 or {*map(len, words)} - {0, width} or max(map(len, named)) > LONGEST:
            return None
        paths += named
        if width == 2 and all(map(_INDEX.fullmatch, columns[0])):
            fields.append(np.array([*map(int, columns[0])], dtype=np.int64)[:, None])
        elif width > 2 and all(map(_BITS.issuperset, columns)):
            bits = [np.frombuffer("".join(one).encode(), np.uint8) - ord("0") for one in columns]
            fields.append(np.stack(bits, axis=1))
        else:
            return None
    return ListFile(file, paths, np.concatenate(fields), lines) if fields else None


def renumbered(lists: Mapping[str, ListFile]) -> tuple[dict[str, ListFile], tuple[str, ...]]:
    """The lists with class indices that count from 0 without gaps over all of them, and the names of the classes.

    A class keeps its index as written in its name; 0/1 columns, and indices without gaps, stay as they are.
    """
    columns = max(one.columns for one in lists.values())
    if columns > 1:
        return dict(lists), tuple(f"class {number}" for number in range(columns))
    found = np.unique(np.concatenate([one.fields for one in lists.values()]))
    dense = {part: replace(one, fields=np.searchsorted(found, one.fields)) for part, one in lists.items()}
    return dense, tuple(f"class {index}" for index in found.tolist())


@dataclass(frozen=True)
class Merged:
    """Several lists as one set: every image once, in the order of the lists, with its rows in each part."""

    names: list[str]
    paths: list[str]
    labels: np.ndarray
    parts: dict[str, np.ndarray]
    origins: Origins


def merge(
    lists: Mapping[str, ListFile], classes: int, names: Mapping[str, Sequence[str]], duplicates: Duplicates
) -> Merged:
    """Put lists together: `lists` and `names` (what each line's image is called) by part.

    Raises InputError with both lines for an image that is twice in one list (`duplicates="drop"` keeps the first)
    or has other labels in another list.
    """
    row_of: dict[str, int] = {}
    labels = np.empty((0, classes), dtype=np.uint8)
    paths: list[str] = []
    begun: list[tuple[str, list[int]]] = []
    parts: dict[str, np.ndarray] = {}
    for part, listed in lists.items():
        before, hot, called = len(row_of), _hot(listed, classes), names[part]
        rows = np.fromiter((row_of.setdefault(name, len(row_of)) for name in called), np.int64, len(called))
        held, first = np.unique(rows, return_index=True)
        fresh = first[held >= before]  # in the order of their rows
        labels = np.concatenate([labels, hot[fresh]])
        paths += [listed.paths[line] for line in fresh]
        begun.append((listed.file.name, [listed.lines[line] for line in fresh]))
        other, again = (labels[rows] != hot).any(axis=1), np.ones(len(rows), dtype=bool)
        again[first] = False
        if (bad := np.flatnonzero(other | (again & (duplicates == "refuse")))).size:
            line = int(bad[0])
            where, name, row = listed.where(line), called[line], int(rows[line])
            if other[line]:
                raise InputError(f"{where} gives image {name!r} other labels than {Origins(*begun)[row]}")
            raise InputError(
                f"{where} repeats image {name!r} of {listed.where(int(first[held == row][0]))}; remove it, "
                'or drop repeats with `duplicates = "drop"`'
            )
        parts[part] = held[np.argsort(first)]
    return Merged(list(row_of), paths, labels, parts, Origins(*begun))


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
    return one_hot(indices, classes, listed.file)


def listed_files(
    lists: Mapping[str, ListFile], classes: int, resolver: Resolver, duplicates: Duplicates = "refuse"
) -> ImageFiles:
    """The images of one or several lists; the part named `all` becomes no part.

    Raises InputError as `merge` does; images that are not there are left to decoding, which names their lines.
    """
    names: dict[str, list[str]] = {}
    notes = list[str]()
    for part, listed in lists.items():
        images = resolver.find(listed.paths)
        names[part] = images.names
        notes += filter(None, [images.note(listed.file.name)])
    merged = merge(lists, classes, names, duplicates)
    parts = {part: rows for part, rows in merged.parts.items() if part != "all"}
    return ImageFiles(
        paths=PathsBelow(resolver.folder, merged.names),
        labels=merged.labels,
        names=np.array(merged.names),
        parts=parts or None,
        origins=merged.origins,
        facts={"paths": "; ".join(notes)} if notes else {},
    )
