"""Tables of image paths and labels, CSV or Parquet, as people keep them."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.datasets._files import no_labels
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
