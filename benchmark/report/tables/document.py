"""A document with every table and figure of a report for a paper: to see them in their widths, and to take from."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.report.figures.style import COLUMN, PAGE
from benchmark.report.tables.cells import Figure, Sheet
from benchmark.report.tables.layout import text_width
from benchmark.report.tables.markup import paper_text
from benchmark.report.tables.paper import stable_labels

_HEIGHT = 9.0
_PREAMBLE = (
    "% Everything of this report in the widths of a two-column paper: take from it what you need.",
    r"\documentclass[10pt,twocolumn]{article}",
    rf"\usepackage[textwidth={PAGE}in,columnsep={PAGE - 2 * COLUMN:.1f}in,textheight={_HEIGHT}in]{{geometry}}",
    r"\usepackage{booktabs,graphicx,tabularx}",
    r"\begin{document}",
)


def paper_document(tables: Iterable[Sheet], figures: Iterable[tuple[Figure, float]]) -> str:
    """A two-column document of everything that a report for a paper wrote beside it. figures: with their inches."""
    lines = [*_PREAMBLE]
    for number, sheet in enumerate(tables, 1):
        # Floats that find no place are kept, and TeX keeps a few dozen at most.
        lines += [rf"\input{{{sheet.name}.tex}}", *([r"\clearpage"] if number % 4 == 0 else [])]
    drawn = list(figures)
    labels = stable_labels(figure.name for figure, _ in drawn)
    for number, (figure, wide) in enumerate(drawn):
        star = "*" if wide > COLUMN else ""
        lines += [*([r"\clearpage"] if number % 4 == 0 else []), rf"\begin{{figure{star}}}"]
        # The caption, in lines of 9.5 points, has its place too: figures of many methods are high.
        lines_below = 1.15 * text_width(figure.caption, 8) / (72.27 * wide) + 2
        high = max(2.0, _HEIGHT - 1.1 - lines_below * 9.5 / 72.27)
        size = rf"width=\linewidth,height={high:.1f}in,keepaspectratio"
        lines += [r"\centering\footnotesize", rf"\includegraphics[{size}]{{{figure.name}}}"]
        lines += [rf"\caption{{{paper_text(figure.caption)}}}", rf"\label{{fig:{labels[figure.name]}}}"]
        lines += [rf"\end{{figure{star}}}"]
    return "\n".join([*lines, r"\end{document}", ""])
