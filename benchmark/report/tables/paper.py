"""Sheets as LaTeX tables for a two-column paper: in one column where they fit, else across both, never wider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.report.figures.style import COLUMN, PAGE, Width
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS
from benchmark.report.tables.cells import Sheet, in_order
from benchmark.report.tables.layout import (
    GAP,
    INCH,
    SIZES,
    Layout,
    block_lines,
    in_parts,
    layout,
    natural,
    text_width,
)
from benchmark.report.tables.markup import paper_text

#: Points of a page's rows.
_HIGH = 560.0
#: How a table was made: kept in the file as comments, not printed.
_ASIDE = ("command: ", "measured at commit ")
#: How marks are read is said by `_marks`, since they differ from those of the other writers.
_MARKS, _UNDERLINED = ("bold: ", "underlined: "), "; best and second are underlined"


def paper_latex(sheet: Sheet, width: Width = "column", label: str = "") -> str:
    """A table that compiles in a document with booktabs, graphicx and tabularx: `table` where its natural width
    fits a column of 3.3 inches, else `table*`; wider than both columns its words wrap, and where that is not
    enough its columns go on in further tables, like the rows of one that is longer than a page: its text has 7
    points at least. Methods by title, best in bold, second underlined, a star for a lead with p < 0.05.
    label: what `\\label` names behind `tab:`.
    """
    sheet = in_order(sheet)
    tables = [(part, found, rows) for part in in_parts(sheet, width) for found, rows in _pages(part, width)]
    lines = [r"% needs \usepackage{booktabs,graphicx,tabularx}"]
    for number, (part, found, rows) in enumerate(tables):
        more = " (continued)" if number else ""
        lines += [rf"\begin{{table{found.star}}}", r"\centering"]
        lines += [rf"\caption{{{paper_text(sheet.title)}{more}}}"]
        lines += [] if number else [rf"\label{{tab:{label or stable(sheet.name)}}}"]
        lines += [rf"{found.size}\setlength{{\tabcolsep}}{{{GAP:g}pt}}"]
        lines += _tabular(part, found, rows)
        lines += _notes(sheet) if number == len(tables) - 1 else []
        lines += [rf"\end{{table{found.star}}}", ""]
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


def _tabular(sheet: Sheet, found: Layout, rows: range) -> list[str]:
    columns, kinds = found.columns, found.kinds
    # The text of a column that wraps may be broken, its head too.
    spec = "".join(r">{\raggedright\arraybackslash}X" if kind == "X" else kind for kind in kinds)
    wraps = "X" in kinds
    begin = rf"\begin{{tabularx}}{{\linewidth}}{{{spec}}}" if wraps else rf"\begin{{tabular}}{{{spec}}}"
    lines = [begin, r"\toprule", *_blocks(sheet)]
    heads = [_head(column.head, kind) for column, kind in zip(columns, kinds)]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    lines += [" & ".join(column.cells[row] for column in columns) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabularx}" if wraps else r"\end{tabular}"]
    if wraps and not found.shrunk:
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
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{_head(block_lines(name, count), 'c')}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}")
        place += count
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _pages(sheet: Sheet, width: Width) -> list[tuple[Layout, range]]:
    """Its layout, with rows in parts that fit a page each, the notes with the last."""
    found = layout(sheet, width)
    points, wide = SIZES[found.size], (PAGE if found.star else COLUMN) * INCH
    wrapped = [column for column, kind in zip(found.columns, found.kinds) if kind == "X"]
    share = (PAGE * INCH - natural(sheet, found.columns, found.kinds, points)) / max(1, len(wrapped))
    high = [
        1.2 * points * max([1, *(int(1.2 * text_width(c.texts[row], points) / share) + 1 for c in wrapped)])
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
    return [(found, rows) for rows in (*parts, range(start, len(sheet.rows)))]


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
