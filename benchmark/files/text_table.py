"""Tables as plain text, for terminals of every width: names and numbers are never cut."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterable, Sequence

from rich.cells import cell_len

#: The fewest characters in which a text is worth a column of its own.
_FOLDED = 24
_INDENT = "  "


def terminal_width() -> int | None:
    """Characters in a line of the terminal that standard output is (`COLUMNS` wins); None for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int | None = None,
    *,
    left: Collection[str] = (),
    fold: str = "",
) -> str:
    """Columns padded to their widest cell, numbers to the right, the first column and those in `left` to the left.

    With no more than `width` characters the column `fold` is wrapped; where that is not enough, rows are `stacked`.
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(cell_len(line[at]) for line in lines) for at in range(len(head))]
    over = sum(widths) + 2 * (len(head) - 1) - (width or 0) if width is not None else 0
    if over > 0 and fold in head and widths[head.index(fold)] - over >= _FOLDED:
        widths[head.index(fold)] -= over
    elif over > 0:
        return stacked(head, lines[1:], width)
    out = []
    for line in lines:
        columns = [
            wrapped(cell, wide) if name == fold else [cell] for name, cell, wide in zip(head, line, widths)
        ]
        for part in range(max(map(len, columns))):
            cells = [
                _padded(column[part] if part < len(column) else "", wide, to_left=at == 0 or head[at] in left)
                for at, (column, wide) in enumerate(zip(columns, widths))
            ]
            out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def _padded(text: str, width: int, *, to_left: bool) -> str:
    space = " " * (width - cell_len(text))
    return text + space if to_left else space + text


def stacked(head: Sequence[str], rows: Iterable[Sequence[str]], width: int | None) -> str:
    """Each row as a paragraph, its first cell and then `name value, name value`, without empty cells.

    Lines break between these, or where one alone is too long between words; a word is never broken.
    """
    out = []
    for row in rows:
        cells = [row[0], *(f"{name} {cell}".strip() for name, cell in zip(head[1:], row[1:]) if cell)]
        line = cells[0]
        for cell in cells[1:]:
            if width is None or cell_len(f"{line}, {cell},") <= width:
                line = f"{line}, {cell}"
            else:
                out += _fitting(f"{line},", width)
                line = _INDENT + cell
        out += _fitting(line, width)
    return "\n".join(out)


def _fitting(line: str, width: int | None) -> list[str]:
    if width is None or cell_len(line) <= width:
        return [line]
    indent = _INDENT if line.startswith(_INDENT) else ""
    first, *rest = wrapped(line.strip(), width - len(_INDENT))
    return [indent + first, *(_INDENT + part for part in rest)]


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` characters, wide letters counted twice; longer words stay whole."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
