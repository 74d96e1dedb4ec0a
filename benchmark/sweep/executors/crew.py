"""The loop that processes and Ray share: hand items to free workers, mind clocks, losses and the stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from benchmark.sweep.executors.base import TICK, FailureKind, Later, Outcome, Watch

T = TypeVar("T")
R = TypeVar("R")

#: Seconds that running items get to save themselves after a stop was asked for.
GRACE = 60.0


class Message(NamedTuple):
    """What a worker says: an event, its item's value or error, or (said for it) that it is gone.

    spent: with a value or an error, that it must not be given another item.
    """

    kind: Literal["event", "value", "error", "lost"]
    content: Any = None
    trace: str = ""
    spent: bool = False


class Worker(Protocol):
    """One worker, which holds one item at a time."""

    def ready(self) -> bool:
        """Whether it can take an item now; False while it waits for resources."""

    def assign(self, item: Any) -> None:
        """Start an item. A worker that turns out to be gone says so through `collect`."""

    def collect(self) -> list[Message]:
        """What it said since the last call; never blocks."""

    def ask_to_stop(self) -> None:
        """Ask the running item to end early."""

    def kill(self) -> None:
        """End it now, whatever it does."""


@dataclass
class _Post(Generic[T]):
    """A place for one worker, and what it is doing."""

    number: int
    worker: Worker | None = None
    item: T | None = None
    attempt: int = 0
    began: float = 0.0
    told: float | None = None


@dataclass
class Crew(Generic[T, R]):
    """Workers of one kind. `wait` sleeps until one may have something to say, or for the given seconds.

    `admits(running)` may hold the next item back (for memory); it is not asked when nothing runs.
    """

    hire: Callable[[int], Worker]
    size: int
    wait: Callable[[list[Any], float], None]
    time_limit: float | None = None
    retries: int = 0
    admits: Callable[[int], bool] = lambda running: True
    grace: float = GRACE
    _again: deque[tuple[T, int]] = field(default_factory=deque)
    _exhausted: bool = False

    def work(self, items: Iterable[T | Later], watch: Watch) -> Iterator[Outcome[T, R]]:
        """Yield one outcome per started item; kills every worker when it ends, however it ends."""
        source, posts = iter(items), [_Post[T](number) for number in range(self.size)]
        try:
            while True:
                stopping = watch.stopping()
                if stopping:
                    self._spread_the_word(posts)
                else:
                    self._fill(posts, source, watch)
                busy = [post for post in posts if post.item is not None]
                if not busy and (stopping or (self._exhausted and not self._again)):
                    return
                self.wait([post.worker for post in busy], TICK)
                for post in busy:
                    yield from self._look_at(post, watch)
        finally:
            for post in posts:
                if post.worker is not None:
                    post.worker.kill()

    def _fill(self, posts: list[_Post[T]], source: Iterator[T | Later], watch: Watch) -> None:
        """Give every free worker an item, as long as there are any."""
        for post in posts:
            if post.item is not None:
                continue
            running = sum(other.item is not None for other in posts)
            if (self._exhausted and not self._again) or (running and not self.admits(running)):
                return
            post.worker = post.worker or self.hire(post.number)
            if not post.worker.ready():
                continue
            taken = self._next(source)
            if taken is None:
                return
            post.item, post.attempt = taken
            post.began, post.told = time.monotonic(), None
            post.worker.assign(post.item)
            watch.started(post.item)

    def _next(self, source: Iterator[T | Later]) -> tuple[T, int] | None:
        if self._again:
            return self._again.popleft()
        try:
            item = next(source)
        except StopIteration:
            self._exhausted = True
            return None
        return None if isinstance(item, Later) else (item, 0)

    def _look_at(self, post: _Post[T], watch: Watch) -> Iterator[Outcome[T, R]]:
        """Pass on what a busy worker said; end it when its time is over."""
        item, worker = post.item, post.worker
        if item is None or worker is None:
            return
        for message in worker.collect():
            if message.kind == "event":
                watch.event(item, message.content)
                continue
            post.item = None
            if message.spent:
                worker.kill()
                post.worker = None
                watch.note("a worker whose device no longer answers is replaced")
            if message.kind == "value":
                yield Outcome(item, value=message.content)
            elif message.kind == "error":
                yield Outcome(item, failure="error", message=message.content, trace=message.trace)
            else:
                yield from self._lost(post, item, str(message.content), watch)
            return
        seconds = time.monotonic() - post.began
        if self.time_limit is not None and seconds > self.time_limit:
            text = f"ended after its time limit of {self.time_limit:g} s"
            yield self._end(post, item, "timeout", text)
        elif post.told is not None and time.monotonic() - post.told > self.grace:
            yield self._end(post, item, "cancelled", f"did not end within {self.grace:g} s of the stop")

    def _lost(self, post: _Post[T], item: T, text: str, watch: Watch) -> Iterator[Outcome[T, R]]:
        if post.worker is not None:
            post.worker.kill()
        post.worker = None
        if post.attempt < self.retries and not watch.stopping():
            watch.note(f"{text}; trying again ({post.attempt + 1} of {self.retries})")
            self._again.append((item, post.attempt + 1))
        else:
            yield Outcome(item, failure="lost", message=text)

    def _end(self, post: _Post[T], item: T, kind: FailureKind, text: str) -> Outcome[T, R]:
        if post.worker is not None:
            post.worker.kill()
        post.worker = post.item = None
        return Outcome(item, failure=kind, message=text)

    def _spread_the_word(self, posts: list[_Post[T]]) -> None:
        for post in posts:
            if post.item is not None and post.worker is not None and post.told is None:
                post.told = time.monotonic()
                post.worker.ask_to_stop()
