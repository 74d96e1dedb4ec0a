"""Sheets as LaTeX tables for a two-column paper: in one column where they fit, else across both, never wider."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.report.figures.style import COLUMN, PAGE, Width
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS
from benchmark.report.tables.cells import Cell, Sheet, in_order, shown_head, shown_text
from benchmark.report.tables.markup import cell_text, paper_text

#: TeX's points in an inch; sizes of text in a 10 pt document; the space beside a column; points of a page's rows.
_INCH, _SIZES, _GAP, _HIGH = 72.27, {r"\small": 9.0, r"\footnotesize": 8.0}, 3.0, 560.0
#: Text columns that wrap are at least so wide, in points: the first that all of them can be.
_WRAPPED = (140.0, 100.0, 60.0)
#: How a table was made: kept in the file as comments, not printed.
_ASIDE = ("command: ", "measured at commit ")
#: How marks are read is said by `_marks`, since they differ from those of the other writers.
_MARKS, _UNDERLINED = ("bold: ", "underlined: "), "; best and second are underlined"


def paper_latex(sheet: Sheet, width: Width = "column", label: str = "") -> str:
    """A table that compiles in a document with booktabs, graphicx and tabularx: `table` where its natural width
    fits a column of 3.3 inches, else `table*`; wider than both columns its words wrap, and where that is not
    enough it is made smaller. Methods by title, best in bold, second underlined, a star for a lead with p < 0.05.
    A table that is longer than a page goes on in further ones. label: what `\\label` names behind `tab:`.
    """
    sheet = in_order(sheet)
    columns, size, star, kinds, shrunk = _layout(sheet, width)
    line, wide = 1.2 * _SIZES[size], (PAGE if star else COLUMN) * _INCH
    parts = _pages(sheet, columns, kinds, line, wide)
    lines = [r"% needs \usepackage{booktabs,graphicx,tabularx}"]
    for number, rows in enumerate(parts):
        more = " (continued)" if number else ""
        lines += [rf"\begin{{table{star}}}", r"\centering", rf"\caption{{{paper_text(sheet.title)}{more}}}"]
        lines += [] if number else [rf"\label{{tab:{label or stable(sheet.name)}}}"]
        lines += [rf"{size}\setlength{{\tabcolsep}}{{{_GAP:g}pt}}"]
        lines += _tabular(sheet, columns, kinds, rows, shrunk=shrunk)
        lines += _notes(sheet) if number == len(parts) - 1 else []
        lines += [rf"\end{{table{star}}}", ""]
    return "\n".join(lines)


def stable(name: str) -> str:
    """A sheet's or figure's name without the digest of its conditions (or its fit) at the end."""
    return re.sub(r"-[0-9a-f]{6}([0-9a-f]{2})?$", "", name)


def stable_labels(names: Iterable[str]) -> dict[str, str]:
    """Name -> its label, the digest left out; equal ones are numbered in their order, from the second on."""
    found: dict[str, str] = {}
    for name in names:
        label, number = stable(name), 1
        while label in found.values():
            number += 1
            label = f"{stable(name)}-{number}"
        found[name] = label
    return found


@dataclass(frozen=True)
class _Column:
    """A column's cells as LaTeX and as bare text, its head's lines; whether it holds numbers."""

    cells: tuple[str, ...]
    texts: tuple[str, ...]
    head: tuple[str, ...]
    numbers: bool

    def wide(self, points: float) -> float:
        """Its natural width without the space beside it."""
        return max(text_width(one, points) for one in (*self.texts, *self.head))


def _columns(sheet: Sheet, *, stacked: bool) -> list[_Column]:
    found, blocks = [], [name for name, count in sheet.blocks for _ in range(count)]
    for place, head in enumerate(shown_head(sheet)):
        cells = [row[place] for row in sheet.rows]
        key = place < sheet.keys
        words = [shown_text(sheet, row, place) for row in sheet.rows]
        marked = [f"{word}{_star(cell)}" for word, cell in zip(words, cells)]
        numbers = not key and not any(_is_words(cell) for cell in cells)
        if blocks and not key:
            head = head.removeprefix(f"{blocks[place - sheet.keys]}, ")
        widest = max((text_width(one, 10) for one in marked), default=0.0)
        heads = _stacked(head, widest) if stacked else (head,)
        latexed = tuple(_cell(word, cell) for word, cell in zip(words, cells))
        found.append(_Column(latexed, tuple(marked), heads, numbers))
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


def _star(cell: Cell) -> str:
    return "*" if cell.sure else ""


def _cell(text: str, cell: Cell) -> str:
    found = cell_text(text)
    if cell.mark == "best":
        return rf"\textbf{{{found}}}{'$^{*}$' if _star(cell) else ''}"
    return rf"\underline{{{found}}}" if cell.mark else found


def _layout(sheet: Sheet, width: Width) -> tuple[list[_Column], str, str, list[str], bool]:
    """Columns, size of text, `*` for a table across both columns, kinds of columns (l, r, X), whether it must be
    shrunk.
    """
    flat, stacked = _columns(sheet, stacked=False), _columns(sheet, stacked=True)
    plain = ["r" if column.numbers else "l" for column in flat]
    wider: list[tuple[str, float]] = [("", COLUMN)] if width == "column" else []
    for star, inches in (*wider, ("*", PAGE)):
        for size, points in _SIZES.items():
            for columns in (flat, stacked):
                if _natural(sheet, columns, plain, points) <= inches * _INCH:
                    return columns, size, star, plain, False
    size, points = r"\footnotesize", _SIZES[r"\footnotesize"]
    texts = [place for place, column in enumerate(flat) if not column.numbers]
    for least in _WRAPPED:
        kinds = list(plain)
        for place in sorted(texts, key=lambda place: -flat[place].wide(points)):
            kinds[place] = "X"
            if _natural(sheet, stacked, kinds, points, least) <= PAGE * _INCH:
                return stacked, size, "*", kinds, False
    return stacked, size, "*", plain, True


def _natural(
    sheet: Sheet, columns: Sequence[_Column], kinds: Sequence[str], points: float, least: float = 0.0
) -> float:
    """How wide a table is in points; columns that wrap count with their `least` width. 2 % more: bold letters."""
    wide = [least if kind == "X" else 1.02 * c.wide(points) for c, kind in zip(columns, kinds)]
    found, place = sum(wide) + 2 * _GAP * len(columns), sheet.keys
    for name, count in sheet.blocks:
        own = sum(wide[place : place + count]) + 2 * _GAP * (count - 1)
        found += max(0.0, max(text_width(line, points) for line in _block(name, count)) - own)
        place += count
    return found


def _tabular(
    sheet: Sheet, columns: Sequence[_Column], kinds: Sequence[str], rows: range, *, shrunk: bool
) -> list[str]:
    # The text of a column that wraps may be broken, its head too.
    spec = "".join(r">{\raggedright\arraybackslash}X" if kind == "X" else kind for kind in kinds)
    wraps = "X" in kinds
    begin = rf"\begin{{tabularx}}{{\linewidth}}{{{spec}}}" if wraps else rf"\begin{{tabular}}{{{spec}}}"
    lines = [begin, r"\toprule", *_blocks(sheet)]
    heads = [_head(column.head, kind) for column, kind in zip(columns, kinds)]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    lines += [" & ".join(column.cells[row] for column in columns) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabularx}" if wraps else r"\end{tabular}"]
    if wraps and not shrunk:
        return lines
    # A class with narrower columns, or a table wider than both, makes it smaller; nothing makes it larger.
    fit = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    return [fit, *lines[:-1], lines[-1] + "}"]


def _head(lines: Sequence[str], kind: str) -> str:
    if kind == "X" or len(lines) == 1:
        return paper_text(" ".join(lines))
    told = r"\\ ".join(paper_text(line) for line in lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{kind}@{{}}}}{told}\end{{tabular}}"


def _blocks(sheet: Sheet) -> list[str]:
    """The line above the heads that says what several columns have in common."""
    if not sheet.blocks:
        return []
    cells, rules, place = [""] * sheet.keys, [], sheet.keys + 1
    for name, count in sheet.blocks:
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{_head(_block(name, count), 'c')}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}")
        place += count
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _block(name: str, count: int) -> tuple[str, ...]:
    """What columns have in common, in lines of about their width."""
    return _stacked(name, 36.0 * count)


def _pages(
    sheet: Sheet, columns: Sequence[_Column], kinds: Sequence[str], line: float, wide: float
) -> list[range]:
    """Rows in parts that fit a page each, the notes with the last. line, wide: points between lines, of a table."""
    wrapped = [column for column, kind in zip(columns, kinds) if kind == "X"]
    share = (PAGE * _INCH - _natural(sheet, columns, kinds, 8)) / max(1, len(wrapped))
    high = [
        line * max([1, *(int(1.2 * text_width(c.texts[row], 8) / share) + 1 for c in wrapped)])
        for row in range(len(sheet.rows))
    ]
    notes = [note for note in sheet.notes if not note.startswith(_ASIDE)]
    below = 8 * (3 + sum(int(1.1 * text_width(note, 7) / wide) + 1 for note in notes))
    parts, start, used = [], 0, 0.0
    for row, own in enumerate(high):
        needs = own + below if row == len(high) - 1 else own
        if used and used + needs > _HIGH:
            parts.append(range(start, row))
            start, used = row, 0.0
        used += own
    return [*parts, range(start, len(sheet.rows))]


def _notes(sheet: Sheet) -> list[str]:
    aside = [note for note in sheet.notes if note.startswith(_ASIDE)]
    shown = [note for note in sheet.notes if not note.startswith((*_ASIDE, *_MARKS))]
    said = (note.replace(_UNDERLINED, "").rstrip(".") for note in (*_marks(sheet), *shown))
    told = [f"{paper_text(note)}." for note in said]
    lines = [f"% {' '.join(note.encode('ascii', 'replace').decode().split())}" for note in aside]
    if told:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\raggedright\scriptsize"]
        lines += [r" \par ".join(told), r"\end{minipage}"]
    return lines


def _marks(sheet: Sheet) -> Iterable[str]:
    cells = [cell for _, _, cell in sheet.cells()]
    if any(cell.mark for cell in cells):
        yield "bold: best of its column; underlined: second"
    if any(cell.mark == "best" and cell.p is not None for cell in cells):
        yield (
            f"*: its lead over the runner-up has p < {LEVEL:g} (Student's t over at least {MIN_SEEDS} common "
            "seeds and their queries, adjusted for the number of rivals)"
        )


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
