"""One item after the other, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from benchmark.sweep.executors.base import TICK, Later, Link, Outcome, Watch, describe
from benchmark.sweep.executors.processes import LocalProcesses

T = TypeVar("T")
R = TypeVar("R")


class Serial:
    """One item after the other in this process. KeyboardInterrupt passes through: the driver handles it.

    Once an item has said that the process is spent, a worker process takes the rest.
    """

    def run(
        self, function: Callable[[T, Link], R], items: Iterable[T | Later], watch: Watch
    ) -> Iterator[Outcome[T, R]]:
        """Yield outcomes in the order of the items."""
        left, spent = iter(items), threading.Event()
        for item in left:
            if watch.stopping():
                return
            if isinstance(item, Later):
                time.sleep(TICK)
                continue
            watch.started(item)
            try:
                value = function(item, Link(_teller(watch, item), watch.stopping, spent.set))
            except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - an item never raises out of the executor
                message, trace = describe(error)
                yield Outcome(item, failure="error", message=message, trace=trace)
            else:
                yield Outcome(item, value=value)
            if spent.is_set():
                watch.note("the device no longer answers this process: a worker process takes the rest")
                yield from LocalProcesses(1).run(function, left, watch)
                return


def _teller(watch: Watch, item: object) -> Callable[[object], None]:
    return lambda event: watch.event(item, event)
