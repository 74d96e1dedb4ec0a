"""What a table says of its images: the classes of each row, and the parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.datasets._files import no_labels
from benchmark.datasets._tables import Columns, Table
from benchmark.errors import InputError

#: What a part may be called in a table.
PART_NAMES = {
    "query": "query",
    "test": "query",
    "train": "train",
    "database": "database",
    "gallery": "database",
}


@dataclass(frozen=True)
class Labels:
    """The classes of each row: `sets[codes[row]]`, class names without repeats. Rows share what is equal."""

    codes: np.ndarray
    sets: Sequence[tuple[str, ...]]

    @property
    def several(self) -> bool:
        """Whether a row has no class, or more than one."""
        return any(len(one) != 1 for one in self.sets)

    def hot(self, number: Mapping[str, int], rows: np.ndarray, file: Path) -> np.ndarray:
        """uint8 (rows, classes) of some rows, by the index of each class; names without an index are left out."""
        found = no_labels(len(rows), len(number), file)
        held = [[number[name] for name in one if name in number] for one in self.sets]
        sizes = np.array([len(one) for one in held])
        begins = np.cumsum(sizes) - sizes
        codes = self.codes[rows]
        counts = sizes[codes]
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - begins[codes], counts)
        flat = np.array(list(itertools.chain.from_iterable(held)), dtype=np.int64)
        found[np.repeat(np.arange(len(rows)), counts), flat[place]] = 1
        return found

    def first(self, wanted: Callable[[tuple[str, ...]], bool], rows: np.ndarray | None = None) -> int | None:
        """The first of the rows whose classes are such; None for none."""
        codes = self.codes if rows is None else self.codes[rows]
        hits = np.flatnonzero(np.array([wanted(one) for one in self.sets], dtype=bool)[codes])
        return int(hits[0]) if hits.size else None


def label_sets(table: Table, columns: Columns, separator: str) -> Labels:
    """The class names of each row: one cell (a class, or several with `separator`), or several 0/1 columns.

    Raises InputError with the line for an empty cell where one class is meant, or a cell that is neither 0 nor 1.
    """
    if len(columns.labels) > 1:
        return _from_columns(table, columns)
    cells = table.column(columns.labels[0])
    code_of = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    several = any(separator in cell for cell in code_of)
    labels = Labels(
        np.fromiter(map(code_of.__getitem__, cells), np.int64, len(cells)),
        [
            tuple(dict.fromkeys(name.strip() for name in cell.split(separator) if name.strip()))
            for cell in code_of
        ],
    )
    if not several and (row := labels.first(lambda names: not names)) is not None:
        raise InputError(f"{table.where(row)} has no label")
    _check_numbers(table, labels)
    return labels


def _from_columns(table: Table, columns: Columns) -> Labels:
    hot = np.empty((len(table.lines), len(columns.labels)), dtype=bool)
    for place, name in enumerate(columns.labels):
        cells = table.column(name)
        if not {"0", "1"}.issuperset(cells):
            raise _no_bit(table, columns)
        hot[:, place] = np.frombuffer("".join(cells).encode(), np.uint8) == ord("1")
    packed = np.packbits(hot, axis=1)
    rows = packed.view(f"V{packed.shape[1]}")[:, 0].tolist()
    code_of = {row: code for code, row in enumerate(dict.fromkeys(rows))}
    codes = np.fromiter(map(code_of.__getitem__, rows), np.int64, len(rows))
    bits = np.unpackbits(np.frombuffer(b"".join(code_of), np.uint8).reshape(len(code_of), -1), axis=1)
    return Labels(codes, [tuple(itertools.compress(columns.labels, one)) for one in bits.tolist()])


def _no_bit(table: Table, columns: Columns) -> InputError:
    for row, values in enumerate(zip(*(table.column(name) for name in columns.labels), strict=True)):
        for value in values:
            if value not in ("0", "1"):
                return InputError(
                    f"{table.where(row)} has {value[:40]!r} in a label column; allowed: 0 and 1"
                )
    raise AssertionError("every cell is 0 or 1")


def _check_numbers(table: Table, labels: Labels) -> None:
    """Raise InputError with the line of a NaN where all other classes are numbers: it stands for a missing label.

    Among names, `nan` is a class like any other.
    """
    values = {name: _number(name) for found in labels.sets for name in found}
    odd = {name for name, value in values.items() if value is not None and math.isnan(value)}
    if not odd or odd == values.keys() or None in values.values():
        return
    row = labels.first(lambda names: bool(odd.intersection(names)))
    assert row is not None
    name = next(name for name in labels.sets[labels.codes[row]] if name in odd)
    raise InputError(
        f"{table.where(row)} has the label {name[:40]!r} among class numbers; give its class, or remove the line"
    )


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def class_names(columns: Columns, labels: Labels) -> tuple[str, ...]:
    """The classes of a table: its label columns, or all names that occur, numbers in their own order."""
    if len(columns.labels) > 1:
        return columns.labels
    names = {name for found in labels.sets for name in found}
    if all(name.isdecimal() for name in names):  # by value: as text of equal length, without leading zeros
        return tuple(sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name)))
    return tuple(sorted(names))


def part_rows(table: Table, columns: Columns, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of each part that a table names; `rows` maps its lines to images. Cells may name several with `;`."""
    cells = table.column(columns.part) if columns.part else []
    parts_of: dict[str, list[str]] = {}
    for cell in dict.fromkeys(cells):  # in the order of the lines
        words = [word.strip().lower() for word in cell.split(";")]
        parts_of[cell] = [PART_NAMES.get(word, "") for word in words if word]
        if "" in parts_of[cell]:
            word = next(word for word in words if word and word not in PART_NAMES)
            raise InputError(
                f"{table.where(cells.index(cell))} has the part {word[:40]!r}; allowed: {', '.join(PART_NAMES)}"
            )
    found: dict[str, np.ndarray] = {}
    for part in dict.fromkeys(itertools.chain.from_iterable(parts_of.values())):
        inside = np.fromiter((part in parts_of[cell] for cell in cells), bool, len(cells))
        unique, first = np.unique(rows[inside], return_index=True)
        found[part] = unique[np.argsort(first)].astype(np.int64)
    return found
