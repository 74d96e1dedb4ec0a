"""What runs inside a Ray worker: one item in one thread, while another thread answers the driver."""

from __future__ import annotations

import os
import pickle
import threading
from typing import Any

from benchmark.sweep.executors.base import Link, describe
from benchmark.sweep.executors.crew import Message


class Hand:
    """A Ray actor's class (made one by the driver, so that Ray is imported only there)."""

    def __init__(self, function: bytes, threads: int) -> None:
        self._said: list[tuple[Any, ...]] = []
        self._lock, self._stop, self._spent = threading.Lock(), threading.Event(), threading.Event()
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
        try:
            self._function: Any = pickle.loads(function)  # noqa: S301 - our own driver's bytes
        except Exception as error:  # noqa: BLE001 - every item then has this outcome
            self._function = error

    def ready(self) -> int:
        """The process number: answered once the actor has its resources and runs."""
        return os.getpid()

    def work(self, item: bytes) -> bytes:
        """Apply the function; a pickled value or error, never an exception."""
        self._stop.clear()
        try:
            if isinstance(self._function, Exception):
                raise self._function
            link = Link(self._emit, self._stop.is_set, self._spent.set)
            value = self._function(pickle.loads(item), link)  # noqa: S301 - our own driver's bytes
            return pickle.dumps(tuple(Message("value", value, spent=self._spent.is_set())), protocol=5)
        except Exception as error:  # noqa: BLE001 - an item never raises out of the executor
            failed = Message("error", *describe(error), spent=self._spent.is_set())
            return pickle.dumps(tuple(failed), protocol=5)

    def events(self) -> list[Any]:
        """What the item emitted since the last call: the newest few, progress is not worth more."""
        with self._lock:
            said, self._said = self._said[-5:], []
        return said

    def stop(self) -> None:
        """Ask the item to end."""
        self._stop.set()

    def _emit(self, event: Any) -> None:
        with self._lock:
            self._said = [*self._said[-20:], event]
