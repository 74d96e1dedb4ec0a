"""Tables of image paths and labels, CSV or Parquet, as people keep them."""

from __future__ import annotations

import csv
import io
import itertools
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
#: Lines that are taken apart together, and what may stand around a cell of ASCII.
_BLOCK = 2**16
_SPACES = " \t\v\f\x1c\x1d\x1e\x1f"


@dataclass(frozen=True)
class Table:
    """A table as text: column names, the cells of each column, and the line of each row."""

    file: Path
    columns: list[str]
    cells: list[list[str]]
    lines: Sequence[int]

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
        return self.cells[self.columns.index(name)]


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
    if not len(table.lines) or not table.columns:
        raise InputError(f"table {str(file)!r} has no rows below its header")
    if longest := next((name for name in table.columns if len(name) > _LONGEST), ""):
        raise InputError(f"table {str(file)!r} line 1 has a column name of {len(longest):,} characters")
    return table


def _read_csv(file: Path) -> Table:
    text = read_text(file, "table")
    header = text.lstrip("\n").partition("\n")[0]
    delimiter = max("\t,;", key=header.count) if file.suffix.lower() != ".tsv" else "\t"
    odd = '"' in text or _END in text
    table = None if odd else _read_plain(file, text.split("\n"), delimiter)
    return table or _read_any(file, text, delimiter)


def _read_plain(file: Path, lines: list[str], delimiter: str) -> Table | None:
    """A table without quotes, by blocks of lines; None for one with anything that only the csv module may judge."""
    first = next((row for row, line in enumerate(lines) if line.replace(delimiter, " ").strip()), len(lines))
    columns = [cell.strip() for cell in lines[first].split(delimiter)] if first < len(lines) else []
    cells: list[list[str]] = [[] for _ in columns]
    kept: list[np.ndarray] = []
    for start in range(first + 1, len(lines), _BLOCK):
        block = lines[start : start + _BLOCK]
        numbers = np.arange(start + 1, start + 1 + len(block))
        if not all(block):
            filled = [bool(line) for line in block]
            block, numbers = list(itertools.compress(block, filled)), numbers[filled]
        text = delimiter.join(block)
        if max(map(len, block), default=0) > csv.field_size_limit():
            return None
        flat = text.split(delimiter) if block else []
        if any(line.count(delimiter) != len(columns) - 1 for line in block):
            return None
        if (
            not text.isascii()
            or any(space in text for space in _SPACES if space != delimiter)
            or delimiter == "\t"
        ):
            flat = [cell.strip() for cell in flat]
        fresh = [flat[place :: len(columns)] for place in range(len(columns))]
        if "" in fresh[0]:
            filled = [any(row) for row in zip(*fresh, strict=True)]
            fresh = [list(itertools.compress(column, filled)) for column in fresh]
            numbers = numbers[filled]
        for column, more in zip(cells, fresh, strict=True):
            column += more
        kept.append(numbers)
    return Table(file, columns, cells, np.concatenate(kept) if kept else ())


def _read_any(file: Path, text: str, delimiter: str) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
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
    return Table(file, columns, [list(column) for column in zip(*rows[1:], strict=True)], lines[1:])


def _read_parquet(file: Path) -> Table:
    import pandas

    try:
        frame = pandas.read_parquet(file)
    except Exception as error:  # noqa: BLE001 - the reader's own errors are of many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"table {str(file)!r} cannot be read: {reason}") from None
    columns = [str(name) for name in frame.columns]
    cells = [frame.iloc[:, place].tolist() for place in range(len(columns))]
    texts = [[_cell(value) for value in column] for column in cells]
    return Table(file, columns, texts, range(1, len(frame) + 1))


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
