"""How a table is laid out on a two-column page: its size of text, which columns wrap, in how many parts it is."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from benchmark.report.figures.style import COLUMN, PAGE, Width
from benchmark.report.tables.cells import Cell, Sheet, shown_head, shown_text
from benchmark.report.tables.markup import UNBROKEN, cell_text

#: TeX's points in an inch; sizes of text in a 10 pt document, the last only where words that wrap do not suffice;
#: the space beside a column.
INCH, SIZES, GAP = 72.27, {r"\small": 9.0, r"\footnotesize": 8.0, r"\scriptsize": 7.0}, 3.0
#: Text columns that wrap are at least so wide, in points, and wide enough for so many lines, at most as wide as is
#: enough: the first that all of them can be.
_WRAPPED, _ENOUGH = ((140.0, 8), (100.0, 8), (60.0, 8), (60.0, 24)), 200.0


@dataclass(frozen=True)
class Column:
    """A column's cells as LaTeX and as bare text, its head's lines; whether it holds numbers."""

    cells: tuple[str, ...]
    texts: tuple[str, ...]
    head: tuple[str, ...]
    numbers: bool

    def wide(self, points: float) -> float:
        """Its natural width without the space beside it."""
        return max(text_width(one, points) for one in (*self.texts, *self.head))

    def wrapped(self, points: float, least: float, lines: int) -> float:
        """How wide it must be where it wraps: a whole word, and not a line for every other word."""
        words = (word[:UNBROKEN] for text in (*self.texts, *self.head) for word in text.split())
        longest = 1.02 * max((text_width(word, points) for word in words), default=0.0)
        return max(least, longest, min(_ENOUGH, self.wide(points) / lines))


@dataclass(frozen=True)
class Layout:
    """Columns; size of text; `*` for a table across both columns; kinds of columns (l, r, X); whether it must be
    made smaller than that.
    """

    columns: list[Column]
    size: str
    star: str
    kinds: list[str]
    shrunk: bool = False


def layout(sheet: Sheet, width: Width) -> Layout:
    """The largest text that fits: in one column where that can be, else across both, then with words that wrap."""
    flat, stacked = _columns(sheet, stacked=False), _columns(sheet, stacked=True)
    plain = ["r" if column.numbers else "l" for column in flat]
    wider: list[tuple[str, float]] = [("", COLUMN)] if width == "column" else []
    *sizes, smallest = SIZES
    for star, inches in (*wider, ("*", PAGE)):
        for size in sizes:
            for columns in (flat, stacked):
                if natural(sheet, columns, plain, SIZES[size]) <= inches * INCH:
                    return Layout(columns, size, star, plain)
    for size in (sizes[-1], smallest):
        if natural(sheet, stacked, plain, SIZES[size]) <= PAGE * INCH:
            return Layout(stacked, size, "*", plain)
        for kinds in _wrapping(sheet, stacked, plain, SIZES[size]):
            return Layout(stacked, size, "*", kinds)
    return Layout(stacked, smallest, "*", plain, shrunk=True)


def _wrapping(
    sheet: Sheet, columns: Sequence[Column], plain: Sequence[str], points: float
) -> Iterator[list[str]]:
    """Kinds of columns with which a table fits both columns of a page: few wrap, and are wide, if that can be."""
    texts = [place for place, column in enumerate(columns) if not column.numbers]
    for least, lines in _WRAPPED:
        kinds = list(plain)
        for place in sorted(texts, key=lambda place: -columns[place].wide(points)):
            if columns[place].wide(points) > least:
                kinds[place] = "X"
                if natural(sheet, columns, kinds, points, (least, lines)) <= PAGE * INCH:
                    yield kinds


def in_parts(sheet: Sheet, width: Width) -> list[Sheet]:
    """A table whose columns do not fit a page, as several that each have its keys; one that fits, or that no
    parting helps, alone. Neighbours that have something in common stay together while that can be.
    """
    if not layout(sheet, width).shrunk:
        return [sheet]
    columns = len(sheet.head) - sheet.keys
    for units in ([count for _, count in sheet.blocks], [1] * columns):
        for count in range(2, len(units) + 1):
            edges = [sum(units[: round(part * len(units) / count)]) for part in range(count + 1)]
            parts = [_part(sheet, first, last) for first, last in pairwise(edges)]
            if not any(layout(part, width).shrunk for part in parts):
                return parts
    return [sheet]


def _part(sheet: Sheet, first: int, last: int) -> Sheet:
    """Some columns of a table beside its keys; its notes with the last ones."""
    keys, blocks, place = sheet.keys, list[tuple[str, int]](), 0
    for name, count in sheet.blocks:
        inside = min(last, place + count) - max(first, place)
        blocks += [(name, inside)] if inside > 0 else []
        place += count
    return replace(
        sheet,
        head=(*sheet.head[:keys], *sheet.head[keys + first : keys + last]),
        rows=tuple((*row[:keys], *row[keys + first : keys + last]) for row in sheet.rows),
        notes=sheet.notes if keys + last == len(sheet.head) else (),
        blocks=tuple(blocks),
        score="",
    )


def _columns(sheet: Sheet, *, stacked: bool) -> list[Column]:
    found, blocks = [], [name for name, count in sheet.blocks for _ in range(count)]
    for place, head in enumerate(shown_head(sheet)):
        cells = [row[place] for row in sheet.rows]
        key = place < sheet.keys
        words = [shown_text(sheet, row, place) for row in sheet.rows]
        marked = [f"{word}{star(cell)}" for word, cell in zip(words, cells)]
        numbers = not key and not any(_is_words(cell) for cell in cells)
        if blocks and not key:
            head = head.removeprefix(f"{blocks[place - sheet.keys]}, ")
        widest = max((text_width(one, 10) for one in marked), default=0.0)
        heads = _stacked(head, widest) if stacked else (head,)
        latexed = tuple(_cell(word, cell) for word, cell in zip(words, cells))
        found.append(Column(latexed, tuple(marked), heads, numbers))
    return found


def _is_words(cell: Cell) -> bool:
    return cell.mean is None and cell.text not in ("–", "failed", "")


def _stacked(head: str, widest: float) -> tuple[str, ...]:
    """A head in lines that are no wider than the column's cells, or than its longest word."""
    words = head.split() or [""]
    limit = max([widest, *(text_width(word, 10) for word in words)])
    lines = [words[0]]
    for word in words[1:]:
        joined = f"{lines[-1]} {word}"
        lines = [*lines[:-1], joined] if text_width(joined, 10) <= limit else [*lines, word]
    return tuple(lines)


def star(cell: Cell) -> str:
    """The mark of a lead that is more than chance."""
    return "*" if cell.sure else ""


def _cell(text: str, cell: Cell) -> str:
    found = cell_text(text)
    if cell.mark == "best":
        return rf"\textbf{{{found}}}{'$^{*}$' if star(cell) else ''}"
    return rf"\underline{{{found}}}" if cell.mark else found


def natural(
    sheet: Sheet,
    columns: Sequence[Column],
    kinds: Sequence[str],
    points: float,
    least: tuple[float, int] | None = None,
) -> float:
    """How wide a table is in points; columns that wrap count with what (width, lines) ask for, without that not at
    all. 2 % more: bold letters.
    """

    def own(column: Column, kind: str) -> float:
        if kind != "X":
            return 1.02 * column.wide(points)
        return 0.0 if least is None else column.wrapped(points, *least)

    wide = [own(column, kind) for column, kind in zip(columns, kinds)]
    found, place = sum(wide) + 2 * GAP * len(columns), sheet.keys
    for name, count in sheet.blocks:
        inside = sum(wide[place : place + count]) + 2 * GAP * (count - 1)
        found += max(0.0, max(text_width(line, points) for line in block_lines(name, count)) - inside)
        place += count
    return found


def block_lines(name: str, count: int) -> tuple[str, ...]:
    """What columns have in common, in lines of about their width."""
    return _stacked(name, 36.0 * count)


def text_width(text: str, points: float) -> float:
    """How wide text is in TeX's Computer Modern, in points; letters that the font lacks count as an `n`."""
    widths = _metrics()
    return sum(widths.get(letter, widths["n"]) for letter in text) * points


@functools.cache
def _metrics() -> dict[str, float]:
    """Letter -> its width as a share of the size, from the copy of Computer Modern that matplotlib brings."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font, LoadFlags

    font: Any = FT2Font(f"{get_data_path()}/fonts/ttf/cmr10.ttf")
    known = font.get_charmap()
    letters = [chr(code) for code in range(33, 127) if code in known]
    found = {one: font.load_char(ord(one), LoadFlags.NO_SCALE).horiAdvance for one in letters}
    units = float(font.units_per_EM)
    return {" ": 1 / 3, "±": 0.78, **{one: advance / units for one, advance in found.items()}}
