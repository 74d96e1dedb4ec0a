"""Sheets as Markdown, LaTeX and CSV. Text from records cannot break out of its place in any of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from benchmark.files.rounding import rounded
from benchmark.report.tables.cells import Cell, Sheet, in_order, shown_head, shown_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    '"': "''",
    "`": "'",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "±": r"$\pm$",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "é": r"\'e",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "✓": "yes",
    "✗": "no",
}
#: A word of more letters may be broken: after these, and at the latest after so many letters.
UNBROKEN, _RUN, _AFTER = 16, 12, "-/_,.=:;|+"
_CSV_FACTS = (
    *("dataset", "protocol", "share", "noise", "class_split", "selection", "backbone", "weights"),
    *("epochs", "batch_size"),
)
_CSV_NUMBERS = ("mean", "sd", "n", "planned", "failed", "stale", "mark", "p", "flags", "fits", "text")


def to_markdown(sheet: Sheet) -> str:
    """A Markdown table with its notes as a list, as people read it: methods by title, in order of score."""
    sheet = in_order(sheet)
    align = "---|" * sheet.keys + "---:|" * (len(sheet.head) - sheet.keys)
    lines = ["| " + " | ".join(map(markdown, shown_head(sheet))) + " |", "|" + align]
    for row in sheet.rows:
        cells = (_markdown_cell(shown_text(sheet, row, place), cell) for place, cell in enumerate(row))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"- {markdown(note)}" for note in sheet.notes), ""])


def _markdown_cell(shown: str, cell: Cell) -> str:
    text = markdown(shown)
    text = f"**{text}**" if cell.sure else f"<u>{text}</u>" if cell.mark else text
    return f"{text} ({cell.aside})" if cell.aside else text


def markdown(text: str) -> str:
    """Text with every character that Markdown or HTML would act on inside a table made harmless."""
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " "), ("`", "'")):
        text = text.replace(old, new)
    return text


def to_latex(sheet: Sheet, label: str = "") -> str:
    """A booktabs table that compiles as it is inside a document that loads booktabs, as people read it: methods by
    title, in order of score. label: what `\\label` names behind `tab:`.
    """
    sheet = in_order(sheet)
    body = [
        " & ".join(_latex_cell(shown_text(sheet, row, place), cell) for place, cell in enumerate(row))
        + r" \\"
        for row in sheet.rows
    ]
    columns = "l" * sheet.keys + "r" * (len(sheet.head) - sheet.keys)
    notes = r" \par ".join(paper_text(note.rstrip(".")) + "." for note in sheet.notes)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{paper_text(sheet.title)}}}",
        rf"\label{{tab:{label or sheet.name}}}",
        r"\small\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(paper_text, shown_head(sheet))) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\raggedright\scriptsize", notes]
        lines += [r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_cell(shown: str, cell: Cell) -> str:
    text = cell_text(shown)
    text = rf"\textbf{{{text}}}" if cell.sure else rf"\underline{{{text}}}" if cell.mark else text
    return rf"{text} {{\scriptsize ({latex(cell.aside)})}}" if cell.aside else text


def cell_text(text: str) -> str:
    """A cell as LaTeX, its minus signs as such."""
    return paper_text(re.sub(r"(?<![\w.])-(?=\d)", "−", text))


def paper_text(text: str) -> str:
    """Text as LaTeX that can be broken anywhere a long word allows; `--flag` stays two hyphens, in typewriter."""
    return " ".join(_word(word) for word in text.split())


def _word(word: str) -> str:
    flag = re.fullmatch(r"([^-\w]*)(--[a-z][a-z-]*)(.*)", word)
    if flag:
        before, name, after = flag.groups()
        return rf"{_letters(before)}\texttt{{{_letters(name)}}}{_letters(after)}"
    return _letters(word)


def _letters(word: str) -> str:
    found, run, long = "", 0, len(word) > UNBROKEN
    for letter, following in zip(word, [*word[1:], ""]):
        found += "-{}" if letter == following == "-" else latex(letter)
        run += 1
        if long and following and ((letter in _AFTER and following != letter) or run >= _RUN):
            found, run = found + r"\allowbreak{}", 0
    return found


def latex(text: str) -> str:
    """Text with every character that LaTeX would act on escaped, and those it cannot print replaced by `?`."""
    found = []
    for character in " ".join(text.split()):
        plain = " " <= character <= "~"
        found.append(_LATEX.get(character) or (character if plain else "?"))
    return "".join(found)


def csv_rows(sheets: Iterable[tuple[str, Sheet]]) -> list[dict[str, object]]:
    """One flat row per cell of (artifact, sheet) pairs: rounded numbers, the fits they rest on."""
    rows: list[dict[str, object]] = []
    for artifact, sheet in sheets:
        facts = {name: sheet.facts.get(name, "") for name in _CSV_FACTS}
        for key, column, cell in sheet.cells():
            row: dict[str, object] = {"artifact": artifact, "sheet": sheet.name, **facts}
            row |= {"row": " / ".join(key), "column": column, "metric": sheet.metric}
            row |= {
                "mean": _round(cell.mean),
                "sd": _round(cell.deviation),
                "n": len(cell.values),
                "planned": cell.planned,
            }
            row |= {"failed": cell.failed, "stale": cell.stale, "mark": cell.mark, "p": _round(cell.p)}
            row |= {"flags": "; ".join(cell.flags), "fits": " ".join(cell.fits), "text": cell.text}
            rows.append(row)
    return rows


def _round(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def to_csv(sheets: Iterable[tuple[str, Sheet]]) -> str:
    """`csv_rows` as text."""
    head = ("artifact", "sheet", *_CSV_FACTS, "row", "column", "metric", *_CSV_NUMBERS)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, head, lineterminator="\n")
    writer.writeheader()
    for row in csv_rows(sheets):
        writer.writerow({name: _plain(value) for name, value in row.items()})
    return buffer.getvalue()


def to_grid(sheet: Sheet) -> str:
    """A table as CSV, a line for each row: means as numbers, a column `sd` beside those that have deviations."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    spread = [any(row[place].deviation is not None for row in sheet.rows) for place in range(len(sheet.head))]
    heads = [[head, *([f"{head} sd"] if wide else [])] for head, wide in zip(sheet.head, spread)]
    writer.writerow([_plain(one) for pair in heads for one in pair])
    for row in sheet.rows:
        found: list[object] = []
        for cell, wide in zip(row, spread):
            gap = "" if cell.text == "–" else cell.text
            found.append(gap if cell.mean is None else _round(cell.mean))
            found += [_round(cell.deviation)] if wide else []
        writer.writerow([_plain(one) for one in found])
    return buffer.getvalue()


def _plain(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    text = str(value) if not isinstance(value, int) else value
    # A spreadsheet runs text that begins like a formula; a quote before it keeps it text.
    return f"'{text}" if isinstance(text, str) and text[:1] in "=+-@\t\r" and len(text) > 1 else text
