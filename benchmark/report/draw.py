"""Figures to files, many at a time in other processes: drawing is most of a report's time."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass

from benchmark.report.page import Picture, picture
from benchmark.report.sheet import Figure
from benchmark.report.style import drawing, encode

#: At most so many other processes draw: each takes seconds to start, and 200 MB.
_PROCESSES = 4


@dataclass(frozen=True)
class Drawing:
    """A figure's files by suffix, and what the page shows of it."""

    images: dict[str, bytes]
    shown: Picture


def draw_all(figures: Iterable[Figure], *, many: bool) -> dict[str, Drawing]:
    """Every figure by name. `many`: other processes draw them, and begin while the rest are still being made."""
    if not many:
        return {figure.name: _draw(figure) for figure in figures}
    # Unlike joblib's Parallel, its executor takes a task while the caller makes the next one.
    from joblib import cpu_count
    from joblib.externals.loky import ProcessPoolExecutor

    env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    try:
        pool = ProcessPoolExecutor(min(cpu_count(), _PROCESSES), env=env)
    except (OSError, ImportError, NotImplementedError):  # a place without semaphores
        return draw_all(figures, many=False)
    with pool:
        begun = [(figure, _begin(pool, figure)) for figure in figures]
        return {figure.name: _end(figure, drawing) for figure, drawing in begun}


def _begin(pool: Executor, figure: Figure) -> Future[Drawing] | None:
    try:
        return pool.submit(_draw, figure)
    except (BrokenExecutor, OSError):
        return None


def _end(figure: Figure, drawing: Future[Drawing] | None) -> Drawing:
    """The drawing; made here when its process was killed (for its memory, say)."""
    try:
        return _draw(figure) if drawing is None else drawing.result()
    except BrokenExecutor:
        return _draw(figure)


def _draw(figure: Figure) -> Drawing:
    collects = gc.isenabled()
    gc.disable()  # a figure is thousands of objects in circles: looking through them meanwhile frees nothing
    try:
        with drawing():
            drawn = figure.draw()
            images = encode(drawn)
            return Drawing(images, picture(figure.name, drawn, images[".png"]))
    finally:
        if collects:
            gc.enable()
