"""How figures look: one fixed colour, marker and line per method, and pages that come out alike twice."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, pairwise
from typing import Any, Literal, get_args

import numpy as np

from benchmark.contracts import Look
from benchmark.report.declared_methods import looks, titled
from benchmark.report.figures.font import family
from benchmark.report.pictures import SLACK, png
from benchmark.spec import digest

#: Okabe and Ito's palette (yellow left out: too light on white): told apart by colour-blind readers.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (6, 2, 1, 2, 1, 2)))
#: What a method's `look` may name, in the order of what is drawn for it.
_COLOURS, MARKERS, _LINES = map(get_args, get_args(Look))

#: One column of a two-column page, and both, in inches.
COLUMN, PAGE = 3.3, 6.9
Width = Literal["column", "page"]
INCHES: dict[Width, float] = {"column": COLUMN, "page": PAGE}
#: The size of a paper's text in figures, in points.
PAPER_TEXT = 8.0
_WIDTH: ContextVar[Width | None] = ContextVar("width", default=None)
#: Letters in a line of a method's title in a figure.
_LINE = 22
#: What a further line of a title takes, in rows.
_EXTRA = 0.8
#: Dots an inch of the PNG.
_DOTS = 200

_RC: dict[str, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titley": 1.0,  # said, not sought: the search takes a tenth of the drawing
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "svg.hashsalt": "coophash-benchmark",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.3,
    "grid.alpha": 0.5,
}


def style(row: str) -> dict[str, Any]:
    """Colour, marker and line of a row: those that its method declares, else some that its name gives. An older
    version, or parameters in brackets behind the name, keep the colour and have a marker and a line of their own,
    the marker hollow: as far from the method's as the same words move any other's, so that methods stay apart.
    """
    method, _, rest = row.partition(" ")
    look = _by_name(method)
    if declared := looks().get(method):
        colour, marker, line = declared
        look = {
            "color": COLOURS[_COLOURS.index(colour)],
            "marker": marker,
            "linestyle": LINES[_LINES.index(line)],
        }
    if not rest:
        return look
    by = int(digest(rest, 6), 16)
    look["marker"] = MARKERS[(MARKERS.index(look["marker"]) + by) % len(MARKERS)]
    look["linestyle"] = LINES[(LINES.index(look["linestyle"]) + by) % len(LINES)]
    return look | {"fillstyle": "none"}


def _by_name(name: str) -> dict[str, Any]:
    """7 colours, 11 markers and 8 lines have no common factor: 616 looks."""
    number = int(digest(name, 6), 16)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def on_paper() -> bool:
    """Whether a figure is drawn for a paper, by `drawing(width)`."""
    return _WIDTH.get() is not None


def inches(usual: float, *, schematic: bool = False) -> float:
    """How wide to draw what is `usual` inches wide in a report: a column or a page where it is drawn for a paper.
    schematic: what 8 pt text does not fit into a column.
    """
    width = _WIDTH.get()
    return usual if width is None else PAGE if schematic else INCHES[width]


def label(row: str) -> str:
    """A row in a figure: its method by title, a long one in lines; dollar signs are kept from being formulas."""
    text = titled(row).lstrip("_").replace("$", r"\$")
    return "\n".join(textwrap.wrap(text, _LINE)) or row


def row_places(rows: Sequence[str]) -> list[float]:
    """Where rows stand that a figure names at its side: one apart, further where titles take several lines."""
    lines = [label(row).count("\n") for row in rows]
    steps = (1 + _EXTRA * (above + below) / 2 for above, below in pairwise(lines))
    return list(accumulate(steps, initial=0.0))


def rows_span(rows: Sequence[str]) -> float:
    """How many rows of one line take the room of these."""
    ends = sum(label(rows[end]).count("\n") for end in (0, -1)) if rows else 0
    return row_places(rows)[-1] + 1 + _EXTRA * ends / 2


def full_scale(axes: Any, **limits: tuple[float, float | None]) -> None:
    """Limits of a report's axes (`ylim=(0, 1)`); those of lines in a paper begin where the values do."""
    if not on_paper():
        axes.set(**limits)


@contextmanager
def drawing(width: Width | None = None) -> Iterator[Any]:
    """matplotlib's pyplot without a screen and with this report's look; figures are closed at the end.

    width: draw for a paper, in its widths and with text of 8 points.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    look: Any = {**_RC, "font.family": family()}
    if width is not None:
        look |= {
            name: PAPER_TEXT for name, value in _RC.items() if name.endswith("size") and "marker" not in name
        }
    token = _WIDTH.set(width)
    try:
        with pyplot.rc_context(look):
            yield pyplot
    finally:
        _WIDTH.reset(token)
        pyplot.close("all")


def fit_paper(figure: Any) -> None:
    """Give every text of a figure for a paper its 8 points, and hide what would then touch its neighbour: numbers
    on the x axis, and those inside the cells of a heat map where a cell is too small for them.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontsize(PAPER_TEXT)
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
    for axes in figure.axes:
        edge = -1.0
        for tick in axes.xaxis.get_ticklabels():
            box = tick.get_window_extent()
            if not tick.get_visible() or not tick.get_text() or tick.get_rotation():
                continue
            tick.set_visible(box.x0 > edge)
            edge = max(edge, box.x1 + 2) if box.x0 > edge else edge
        if axes.images and axes.texts:
            rows, columns = axes.images[0].get_array().shape[:2]
            place = axes.get_window_extent()
            boxes = [text.get_window_extent() for text in axes.texts]
            fits = all(b.width < place.width / columns and b.height < place.height / rows for b in boxes)
            for text in axes.texts:
                text.set_visible(fits)


def encode(figure: Any, formats: Collection[str] = ("png", "pdf")) -> dict[str, bytes]:
    """The figure as PNG (200 dots an inch; small where `formats` names no other) and, if that is named, as PDF
    (TrueType fonts embedded), free of dates and versions.
    """
    from PIL import Image

    figure.set_dpi(_DOTS)
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine(None)  # laid out once, for every format alike, and not drawn for that alone
    if "pdf" in formats or "svg" in formats:
        found = {".png": _saved(figure, "png", {"Software": None})}
    else:  # the only picture that is kept: worth the time to make it small
        figure.canvas.draw()
        pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))
        found = {".png": png(pixels, slack=SLACK, dots=_DOTS)}
    if "pdf" in formats:
        found[".pdf"] = _saved(figure, "pdf", {"CreationDate": None})
    return found


def _saved(figure: Any, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DOTS, metadata=metadata)
    return buffer.getvalue()


def legend_below(figure: Any, axes: Any, columns: int = 3, order: Sequence[str] = (), **look: Any) -> None:
    """One legend for all axes, below them, in as many columns as fit; many rows make the figure higher. order: of
    the rows that it names (default: as they were drawn). look: of matplotlib's legend.
    """
    handles: dict[str, Any] = {}
    for one in axes:
        for handle, text in zip(*one.get_legend_handles_labels()):
            handles.setdefault(text, handle)
    first = [name for name in map(label, order) if name in handles]
    handles = {name: handles[name] for name in dict.fromkeys((*first, *handles))}
    for number in range(columns, 0, -1) if handles else ():
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=number, **look
        )
        if number == 1 or legend.get_window_extent().width <= figure.bbox.width:
            lines, deep = [name.count("\n") + 1 for name in handles], -(-len(handles) // number)
            rows = max(sum(lines[first : first + deep]) for first in range(0, len(lines), deep))
            higher = 0.18 * (rows - 1) if on_paper() else 0.13 * max(0, rows - 3)
            figure.set_figheight(figure.get_figheight() + higher)
            return
        legend.remove()
