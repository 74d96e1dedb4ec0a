"""What every executor takes and gives. Nothing here knows of hashing, and nothing imports torch."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

FailureKind = Literal["error", "timeout", "lost", "cancelled"]

#: Seconds between two looks at the workers, the clock and items that were not to be had yet.
TICK = 0.2


class Later(enum.Enum):
    """What an iterable of items yields when it has none to give now but may have one soon."""

    LATER = enum.auto()


LATER = Later.LATER


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What came of one item: a value, or a failure with its kind and text. Never an exception.

    `message` is one line; `trace` holds the traceback of an *error*.
    """

    item: T
    value: R | None = None
    failure: Literal["", "error", "timeout", "lost", "cancelled"] = ""
    message: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Link:
    """A running item's line to the driver: `emit` sends a picklable event, `stopping` asks whether to end.

    `retire` says that the process it runs in must not be given another item.
    """

    emit: Callable[[Any], None] = lambda event: None
    stopping: Callable[[], bool] = lambda: False
    retire: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Watch:
    """The driver's side: told when an item starts, what it emits, and of workers that were lost.

    `stopping` turning true ends the run: no new item starts, and running ones are asked to end.
    """

    started: Callable[[Any], None] = lambda item: None
    event: Callable[[Any, Any], None] = lambda item, event: None
    note: Callable[[str], None] = lambda text: None
    stopping: Callable[[], bool] = lambda: False


class Executor(Protocol):
    """One verb. Outcomes may come in any order; an item never raises out of the executor.

    `items` is read lazily, one item for each free worker, and may yield `LATER`.
    """

    def run(
        self, function: Callable[[T, Link], R], items: Iterable[T | Later], watch: Watch
    ) -> Iterator[Outcome[T, R]]:
        """Yield one outcome for each item that was started."""
        ...


def describe(error: BaseException) -> tuple[str, str]:
    """An exception as one line and as its traceback."""
    return f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
