"""Codes as text: CSV and TSV with or without a header, JSON Lines, and JSON."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.arrays import check_size
from benchmark.scoring.keys import SIDES, kind_of, side_of
from benchmark.scoring.member import Member, members_of

#: Columns that say which set a row belongs to.
_SETS = ("set", "split", "side", "part", "subset")
#: Words for what is stored that stand in tables alone.
_COLUMNS = {"class": "labels", "classes": "labels", "category": "labels"}
_COLUMNS |= dict.fromkeys(("path", "name", "image", "file", "filename", "image_path"), "ids")
_NUMBERED = re.compile(r"(.*?)[\s_.\-\[]*(\d+)\]?")
_FIELDS = re.compile(r"[\s;,|]+")


def open_table(path: Path, limit: int) -> list[Member]:
    """The columns of a `.csv` or `.tsv` file; without a header, its one matrix."""
    rows = _rows(path, limit)
    header = [cell.strip() for cell in rows[0][1]]
    if not _is_header(header, rows[1:]):
        cells = [row for _, row in rows]
        return [Member("", lambda kind: _parsed(cells, kind, path.name))]
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        places = " and ".join(str(at + 1) for at, name in enumerate(header) if name == twice[0])
        raise InputError(f"{path.name}: column {twice[0]!r} is there twice (columns {places}); rename one")
    columns = {name: [row[at] for _, row in rows[1:]] for at, name in enumerate(header)}
    if len(rows) == 1:
        raise InputError(f"{path.name} has a header and no rows")
    return _members(columns, [line for line, _ in rows[1:]], path.name)


def _rows(path: Path, limit: int) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every row that is not empty, all of one length."""
    check_size(path.stat().st_size, path.name, limit)
    rows: list[tuple[int, list[str]]] = []
    with path.open(encoding="utf-8-sig", newline="") as text:
        first = text.readline()
        text.seek(0)
        delimiter = next((one for one in "\t,;" if one in first), " ")
        reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
        for row in reader:
            if delimiter == " ":
                row = [cell for cell in row if cell]
            if not any(cell.strip() for cell in row):
                continue
            if rows and len(row) != len(rows[0][1]):
                raise InputError(
                    f"{path.name} line {reader.line_num} has {len(row)} cells; the first row has {len(rows[0][1])}"
                )
            rows.append((reader.line_num, [cell.strip() for cell in row]))
    if not rows:
        raise InputError(f"{path.name} is empty")
    return rows


def _is_header(cells: list[str], rows: list[tuple[int, list[str]]]) -> bool:
    words = [cell for cell in cells if _number(cell) is None]
    if not words:  # columns named 0, 1, 2, ... as pandas writes them
        return len(cells) > 2 and cells == [str(at) for at in range(len(cells))]
    known = any(_group(cell)[1] or cell.lower() in _SETS for cell in words)
    return known or (len(cells) > 1 and all(_number(cell) is not None for _, row in rows[:1] for cell in row))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _group(name: str) -> tuple[str, str]:
    """A column's group (what numbered columns share) and the kind that its name says: `b12` -> ("b", "codes")."""
    found = _NUMBERED.fullmatch(name)
    prefix = found[1] if found else name
    if found and prefix.lower() in ("", "bit", "bits"):
        return prefix or "codes", "codes"
    return prefix, kind_of(prefix) or _COLUMNS.get(prefix.lower(), "")


def open_jsonl(path: Path, limit: int) -> list[Member]:
    """The fields of a JSON Lines file, an object an item, as columns."""
    check_size(path.stat().st_size, path.name, limit)
    items: list[dict[str, Any]] = []
    lines: list[int] = []
    with path.open(encoding="utf-8-sig") as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path.name} line {number} is no JSON: {error}") from None
            if not isinstance(item, dict) or (items and item.keys() != items[0].keys()):
                wanted = ", ".join(items[0]) if items else "codes and label"
                raise InputError(f"{path.name} line {number} is no object with the keys {wanted}")
            items.append(item)
            lines.append(number)
    if not items:
        raise InputError(f"{path.name} is empty")
    return _members({name: [item[name] for item in items] for name in items[0]}, lines, path.name)


def open_json(path: Path, limit: int) -> list[Member]:
    """The arrays of a `.json` file: nested objects of lists."""
    check_size(path.stat().st_size, path.name, limit)
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise InputError(
            f"{path.name} holds no object; expected {{query_codes: [...], ...}}, or one object a line"
        )
    return list(members_of(content))


def _members(columns: dict[str, list[Any]], lines: list[int], where: str) -> list[Member]:
    """Columns as arrays: numbered ones (`b0`, `b1`, ...) together, and each set apart where a column names sets."""
    sets = next((name for name in columns if name.lower() in _SETS), None)
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(columns.pop(sets) if sets is not None else []):
        side = side_of(str(cell))
        if side is None:
            allowed = ", ".join(word for words in SIDES.values() for word in words if len(word) > 1)
            raise InputError(f"{where} line {lines[row]}: {sets} is {str(cell)[:40]!r}; allowed: {allowed}")
        rows.setdefault(side, []).append(row)
    if "" in columns and columns[""] == [str(row) for row in range(len(lines))]:
        del columns[""]  # the row numbers that pandas writes
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in columns:
        found = _NUMBERED.fullmatch(name)
        groups.setdefault(_group(name)[0], []).append((int(found[2]) if found else -1, name))

    def member(side: str, group: str, places: list[int]) -> Member:
        names = [name for _, name in sorted(groups[group])]
        kind = _group(names[0])[1]

        def read(kind: str) -> Any:
            return _parsed([[columns[name][row] for name in names] for row in places], kind, where)

        key, role = (f"{side}/{group}", f"{side}_{kind}") if side else (group, kind)
        return Member(key, read, role=role if kind else "")

    every = list(range(len(lines)))
    return [member(side, group, places) for side, places in (rows or {"": every}).items() for group in groups]


def _parsed(rows: list[list[Any]], kind: str, where: str) -> Any:
    """Cells as an array: (rows, columns) of codes, (rows,) or (rows, columns) of labels, (rows,) of ids."""
    if kind == "ids" and len(rows[0]) == 1:
        return np.array([str(row[0]) for row in rows])
    cells = [_fields(row[0], kind) if len(row) == 1 else row for row in rows]
    if all(isinstance(cell, (str, int, float)) for cell in cells):  # one value an item
        numbers = [_number(str(cell)) for cell in cells]
        if kind == "labels" and any(number is None for number in numbers):
            return np.array([str(cell) for cell in cells])
        return _array([[number] for number in numbers], where)[:, 0 if kind == "labels" else slice(None)]
    return _array(cells, where)


def _fields(cell: Any, kind: str) -> Any:
    """The values in one cell: a list of them, or the cell itself where it is one value."""
    if not isinstance(cell, str):
        return cell
    if kind in ("codes", "outputs"):
        if len(cell) > 1 and set(cell) <= {"0", "1"}:
            return list(cell)
        return [part for part in _FIELDS.split(cell.strip("[]() ")) if part]
    inside = [part for part in _FIELDS.split(cell.strip("[]() ")) if part]
    return inside if len(inside) > 1 and set(inside) <= {"0", "1", "-1", "0.0", "1.0"} else cell


def _array(rows: list[Any], where: str) -> Any:
    width = len(rows[0]) if isinstance(rows[0], (list, tuple)) else 1
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, (list, tuple)) or len(row) != width:
            raise InputError(f"{where}: item {number} has not the {width} values that the first one has")
    try:
        return np.array(rows, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where} is no table of numbers: {error}") from None
