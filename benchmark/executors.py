"""Apply a function to items and yield what came of each. Knows nothing of hashing."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What came of one item: a value, or a failure with its kind and text. Never an exception."""

    item: T
    value: R | None = None
    failure: Literal["", "error", "timeout", "lost", "cancelled"] = ""
    message: str = ""


class Executor(Protocol):
    """One verb. Outcomes may come in any order; an item never raises out of the executor."""

    def run(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Yield one outcome per item."""
        ...


class Serial:
    """One item after the other in this process. KeyboardInterrupt passes through: the driver handles it."""

    def run(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Yield outcomes in the order of the items."""
        for item in items:
            try:
                value = function(item)
            except Exception as error:  # noqa: BLE001 - an item never raises out of the executor
                text = "".join(traceback.format_exception(error))
                yield Outcome(item, failure="error", message=f"{type(error).__name__}: {error}\n{text}")
            else:
                yield Outcome(item, value=value)
