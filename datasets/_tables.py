"""Tables of image paths and labels, CSV or Parquet, as people keep them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.datasets._text import read_text
from benchmark.errors import InputError, unknown

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
#: Columns that are taken for the paths, or for the parts, when none is named.
_PATHS = ("path", "image", "file", "filename", "image_path", "filepath", "name")
_PARTS = ("part", "split", "subset")
_LONGEST = 1000  # characters of a column's name
_END = "\x04"  # stands after the last row, unless an open quote swallows it
#: What a part may be called in a table.
PART_NAMES = {
    "query": "query",
    "test": "query",
    "train": "train",
    "database": "database",
    "gallery": "database",
}


@dataclass(frozen=True)
class Table:
    """A table as text: column names, rows of cells, and the line of each row."""

    file: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        """`labels.csv line 3`."""
        return f"{self.file.name} line {self.lines[row]}"

    def column(self, name: str) -> list[str]:
        """The cells of a column. Raises InputError for a name that is not there, or there twice."""
        if name not in self.columns:
            raise unknown(f"column of {str(self.file)!r}", name, self.columns)
        if (count := self.columns.count(name)) > 1:
            places = [str(place) for place, other in enumerate(self.columns, start=1) if other == name]
            raise InputError(
                f"table {str(self.file)!r} line 1 has {count} columns {name!r} (number {', '.join(places)}); "
                "rename all but one, or name the columns to read: path, labels, part"
            )
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what: the path, the labels (one or several), the part or an empty string."""

    path: str
    labels: tuple[str, ...]
    part: str = ""


def read_table(file: Path) -> Table:
    """Read a CSV (comma, semicolon or tab between the cells), TSV or Parquet file with a header.

    Raises InputError for a file that cannot be read, has no rows, or has a row of another length.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"table {str(file)!r} must end with one of {', '.join(SUFFIXES)}")
    if not file.is_file():
        raise InputError(f"missing table {str(file)!r}")
    table = _read_parquet(file) if file.suffix.lower() in (".parquet", ".pq") else _read_csv(file)
    if not table.rows or not table.columns:
        raise InputError(f"table {str(file)!r} has no rows below its header")
    if longest := next((name for name in table.columns if len(name) > _LONGEST), ""):
        raise InputError(f"table {str(file)!r} line 1 has a column name of {len(longest):,} characters")
    return table


def _read_csv(file: Path) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
    text = read_text(file, "table")
    header = text.lstrip("\n").partition("\n")[0]
    delimiter = max("\t,;", key=header.count) if file.suffix.lower() != ".tsv" else "\t"
    reader = csv.reader(io.StringIO(f"{text}\n{_END}"), delimiter=delimiter)
    columns: list[str] = []
    begun = 1
    try:
        for row in reader:
            if row and row[-1].endswith(_END) and row != [_END]:
                raise InputError(f"{str(file)!r} line {begun} opens a quote that is never closed")
            begun, cells = reader.line_num + 1, [cell.strip() for cell in row]
            if row == [_END] or not any(cells):
                continue
            columns = columns or cells
            if len(cells) != len(columns):
                raise InputError(
                    f"{str(file)!r} line {reader.line_num} has {len(cells)} cells; the header has {len(columns)}"
                )
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"table {str(file)!r} line {reader.line_num} cannot be read: {error}") from None
    return Table(file, columns, rows[1:], lines[1:])


def _read_parquet(file: Path) -> Table:
    import pandas

    try:
        frame = pandas.read_parquet(file)
    except Exception as error:  # noqa: BLE001 - the reader's own errors are of many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"table {str(file)!r} cannot be read: {reason}") from None
    columns = [str(name) for name in frame.columns]
    cells = [frame.iloc[:, place].tolist() for place in range(len(columns))]
    rows = [[_cell(value) for value in row] for row in zip(*cells, strict=True)]
    return Table(file, columns, rows, list(range(1, len(rows) + 1)))


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN is no label
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, list | tuple | np.ndarray):
        return ";".join(_cell(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def columns_of(table: Table, path: str = "", labels: Sequence[str] = (), part: str = "") -> Columns:
    """Which column is which: as named, else by the usual names, else the first and all the others.

    Raises InputError for an unknown column or a table without labels.
    """
    lower = {name.lower(): name for name in reversed(table.columns)}
    path = path or next((lower[name] for name in _PATHS if name in lower), table.columns[0])
    part = part or next((lower[name] for name in _PARTS if name in lower), "")
    chosen = tuple(labels) or tuple(name for name in table.columns if name not in (path, part))
    for name in (path, *chosen, *((part,) if part else ())):
        table.column(name)
    if not chosen:
        raise InputError(f"table {str(table.file)!r} has no label column beside {path!r}")
    return Columns(path, chosen, part)


def label_sets(table: Table, columns: Columns, separator: str) -> list[tuple[str, ...]]:
    """The class names of each row: one cell (a class, or several with `separator`), or several 0/1 columns.

    Raises InputError with the line for an empty cell where one class is meant, or a cell that is neither 0 nor 1.
    """
    if len(columns.labels) > 1:
        cells = list(zip(*(table.column(name) for name in columns.labels), strict=True))
        for row, values in enumerate(cells):
            wrong = [value for value in values if value not in ("0", "1")]
            if wrong:
                raise InputError(
                    f"{table.where(row)} has {wrong[0][:40]!r} in a label column; allowed: 0 and 1"
                )
        return [
            tuple(name for name, value in zip(columns.labels, values, strict=True) if value == "1")
            for values in cells
        ]
    cells = table.column(columns.labels[0])
    several = any(separator in cell for cell in cells)
    sets = [
        tuple(dict.fromkeys(name.strip() for name in cell.split(separator) if name.strip())) for cell in cells
    ]
    for row, found in enumerate(sets):
        if not found and not several:
            raise InputError(f"{table.where(row)} has no label")
    _check_numbers(table, sets)
    return sets


def _check_numbers(table: Table, sets: Sequence[tuple[str, ...]]) -> None:
    """Raise InputError with the line of a NaN where all other classes are numbers: it stands for a missing label.

    Among names, `nan` is a class like any other.
    """
    values = {name: _number(name) for name in {name for found in sets for name in found}}
    odd = {name for name, value in values.items() if value is not None and math.isnan(value)}
    if not odd or odd == values.keys() or None in values.values():
        return
    row = next(row for row, found in enumerate(sets) if odd.intersection(found))
    name = next(name for name in sets[row] if name in odd)
    raise InputError(
        f"{table.where(row)} has the label {name[:40]!r} among class numbers; give its class, or remove the line"
    )


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def class_names(columns: Columns, sets: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The classes of a table: its label columns, or all names that occur, numbers in their own order."""
    if len(columns.labels) > 1:
        return columns.labels
    names = {name for found in sets for name in found}
    if all(name.isdecimal() for name in names):  # by value: as text of equal length, without leading zeros
        return tuple(sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name)))
    return tuple(sorted(names))


def part_rows(table: Table, columns: Columns, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Rows of each part that a table names; `rows` maps its lines to images. Cells may name several with `;`."""
    found: dict[str, list[int]] = {}
    for line, cell in enumerate(table.column(columns.part) if columns.part else []):
        for word in filter(None, (word.strip().lower() for word in cell.split(";"))):
            if word not in PART_NAMES:
                raise InputError(
                    f"{table.where(line)} has the part {word[:40]!r}; allowed: {', '.join(PART_NAMES)}"
                )
            found.setdefault(PART_NAMES[word], []).append(rows[line])
    return {part: np.array(list(dict.fromkeys(rows)), dtype=np.int64) for part, rows in found.items()}
