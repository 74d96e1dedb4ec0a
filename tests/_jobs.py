"""Functions that the executors' tests run in workers: importable there, and quick."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmark.executors import Link


class Refusal(Exception):
    """An exception that cannot be pickled on its way back."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def square(item: int, link: Link) -> int:
    link.emit(("at", item))
    return item * item


def fail_on_three(item: int, link: Link) -> int:
    if item == 3:
        raise Refusal("three", " is refused")
    return item


def die_on_three(item: int, link: Link) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die_once(item: tuple[int, str], link: Link) -> int:
    """The first attempt at an item with a marker file dies after leaving it."""
    number, marker = item
    if marker and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hang_on_three(item: int, link: Link) -> int:
    while item == 3:
        time.sleep(1)
    return item


def until_stopped(item: int, link: Link) -> str:
    for _ in range(600):
        if link.stopping():
            return "stopped"
        time.sleep(0.05)
    return "never asked"


def surroundings(item: int, link: Link) -> dict[str, str | None]:
    time.sleep(0.3)  # so that one worker does not take every item
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {"pid": str(os.getpid()), **{name: os.environ.get(name) for name in names}}


def unpicklable(item: int, link: Link) -> object:
    return lambda: item
