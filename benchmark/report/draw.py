"""Figures to files, many at a time in other processes: drawing is most of a report's time."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass

from benchmark.report.figures.style import COLUMN, Width, drawing, encode, fit_paper
from benchmark.report.page import Picture, linked, picture
from benchmark.report.tables.cells import Figure

#: What a report's figures and cells are written as: PNG always; PDF; SVG inside the page, which otherwise shows the
#: PNG files; Parquet.
FORMATS = ("png", "pdf", "svg", "parquet")
#: At most so many other processes draw: each takes seconds to start, and 200 MB.
_PROCESSES = 4


@dataclass(frozen=True)
class Drawing:
    """A figure's files by suffix, none for one that is shown from elsewhere; and what the page shows of it."""

    images: dict[str, bytes]
    shown: Picture


def draw_all(
    figures: Iterable[Figure],
    *,
    many: bool,
    formats: Collection[str] = FORMATS,
    width: Width | None = None,
) -> dict[str, Drawing]:
    """Every figure by name. `many`: other processes draw them, and begin while the rest are still being made.

    width: draw for a paper.
    """
    if not many:
        return {figure.name: _draw(figure, formats, width) for figure in figures}
    # Unlike joblib's Parallel, its executor takes a task while the caller makes the next one.
    from joblib import cpu_count
    from joblib.externals.loky import ProcessPoolExecutor

    env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    try:
        pool = ProcessPoolExecutor(min(cpu_count(), _PROCESSES), env=env)
    except (OSError, ImportError, NotImplementedError):  # a place without semaphores
        return draw_all(figures, many=False, formats=formats, width=width)
    with pool:
        begun = [(figure, _begin(pool, figure, formats, width)) for figure in figures]
        return {figure.name: _end(figure, formats, drawing, width) for figure, drawing in begun}


def _begin(
    pool: Executor, figure: Figure, formats: Collection[str], width: Width | None
) -> Future[Drawing] | None:
    try:
        return pool.submit(_draw, figure, formats, width)
    except (BrokenExecutor, OSError):
        return None


def _end(
    figure: Figure, formats: Collection[str], drawing: Future[Drawing] | None, width: Width | None
) -> Drawing:
    """The drawing; made here when its process was killed (for its memory, say)."""
    try:
        return _draw(figure, formats, width) if drawing is None else drawing.result()
    except BrokenExecutor:
        return _draw(figure, formats, width)


def _draw(figure: Figure, formats: Collection[str], width: Width | None = None) -> Drawing:
    if figure.file and width is None and not {"pdf", "svg"} & {*formats}:
        return Drawing({}, Picture(figure.name, "", figure.file, COLUMN))
    collects = gc.isenabled()
    gc.disable()  # a figure is thousands of objects in circles: looking through them meanwhile frees nothing
    try:
        with drawing(width):
            drawn = figure.draw()
            if width is not None:
                fit_paper(drawn)
            images = encode(drawn, formats)
            if "svg" not in formats:
                return Drawing(images, linked(figure.name, drawn))
            return Drawing(images, picture(figure.name, drawn, images[".png"]))
    finally:
        if collects:
            gc.enable()
