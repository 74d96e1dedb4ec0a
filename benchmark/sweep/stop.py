"""A request to stop, by signal: the first asks, the second ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass
class Stop:
    """The signal that asked the run to stop, if any. A second one ends it at once."""

    name: str = ""
    event: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self, note: Callable[[str], None]) -> Iterator[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into a request to stop; outside the main thread do nothing.

        Inside, a second signal raises KeyboardInterrupt; a second SIGHUP does not, as a terminal that closes
        sends several. A SIGHUP that was ignored before (`nohup`) stays so. The handlers of before are put back at
        the end.
        """

        def handle(number: int, frame: object) -> None:
            name = signal.Signals(number).name
            if self.event.is_set() and name == "SIGHUP":
                return
            if self.event.is_set():
                raise KeyboardInterrupt
            self.name = name
            self.event.set()
            note(f"{self.name}: saving what is running; once more to end at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        caught = [
            one for one in _SIGNALS if one.name != "SIGHUP" or signal.getsignal(one) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, handle) for number in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
