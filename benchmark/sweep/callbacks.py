"""What users of the Python API hear of a run: steps, evaluations, ends; nothing that they do reaches a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from benchmark.fit.randomness import isolated_generators
from benchmark.fit.runtime import Progress
from benchmark.spec import FitSpec
from benchmark.store.record import CurvePoint, Record


class Callback(Protocol):
    """Told of a run, in the process that called it, whatever executor trains. Any of the three may be left out.

    Global random generators are put back after each call, so that codes never depend on a callback. One that raises
    is left out from then on, with a line that names it; the run goes on.
    """

    def on_step(self, fit: FitSpec, progress: Progress) -> None:
        """A fit trains: update `step` of `steps`, its loss, images a second; ten times a second at most."""

    def on_evaluation(self, fit: FitSpec, point: CurvePoint) -> None:
        """The model was looked at after `point.step` updates. Told when the fit has ended, point by point."""

    def on_end(self, record: Record) -> None:
        """A fit has ended and its record is stored; `record.state` says whether it failed."""


class Callbacks:
    """Several, none of which can harm a run. note: where a line on one that raised goes."""

    def __init__(self, callbacks: Iterable[Any], note: Callable[[str], None]) -> None:
        self._left, self._note = list(callbacks), note

    def progressed(self, fit: FitSpec, progress: Progress) -> None:
        """Hand a training's progress on."""
        if progress.phase == "train":
            self._tell("on_step", fit, progress)

    def ended(self, record: Record) -> None:
        """Hand a stored record on, its curve first."""
        for point in record.curve:
            self._tell("on_evaluation", record.spec, point)
        self._tell("on_end", record)

    def _tell(self, name: str, *arguments: Any) -> None:
        for callback in [*self._left]:
            told = getattr(callback, name, None)
            if told is None:
                continue
            try:
                with isolated_generators():
                    told(*arguments)
            except Exception as error:  # noqa: BLE001 - somebody's own code
                self._left = [one for one in self._left if one is not callback]  # by identity, never by `==`
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                self._note(
                    f"callback {type(callback).__name__}.{name} raised {reason}; it is left out from now on"
                )
