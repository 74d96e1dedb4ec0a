"""What users of the Python API hear of a run: steps, evaluations, ends; nothing that they do reaches a fit."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, Protocol

import torch

from benchmark.errors import InputError
from benchmark.fit.randomness import isolated_generators
from benchmark.fit.runtime import Progress
from benchmark.registry.contained import contained
from benchmark.spec import FitSpec
from benchmark.store.record import CurvePoint, Record

_TOLD = ("on_step", "on_evaluation", "on_end")
#: What a logger sets up for itself and needs later; no fit depends on it.
_THEIRS = ("environment variables", "import path", "logging", "standard output")


class Callback(Protocol):
    """Told of a run, in the process that called it, whatever executor trains. Any of the three may be left out.

    Global random generators, torch's and numpy's settings, the working folder and handlers of signals are put back
    after each call, and what it is told is a copy, so that codes never depend on a callback. One that raises is
    left out from then on, with a line that names it; the run goes on.
    """

    def on_step(self, fit: FitSpec, progress: Progress) -> None:
        """A fit trains: update `step` of `steps`, its loss, images a second; ten times a second at most."""

    def on_evaluation(self, fit: FitSpec, point: CurvePoint) -> None:
        """The model was looked at after `point.step` updates. Told when the fit has ended, point by point."""

    def on_end(self, record: Record) -> None:
        """A fit has ended and its record is stored; `record.state` says whether it failed."""


def checked(callbacks: Iterable[Any] | None) -> list[Any]:
    """The callbacks as a list; None is none. Raises InputError for what could never be told anything."""
    if callbacks is None:
        return []
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, str):
        raise InputError(f"callbacks: give a list of callbacks, not {type(callbacks).__name__}")
    found = list(callbacks)
    for number, one in enumerate(found):
        unbound = (inspect.getattr_static(one, name, None) for name in _TOLD)
        if isinstance(one, type) and any(isinstance(each, FunctionType) for each in unbound):
            raise InputError(f"callbacks[{number}] is the class {one.__name__}: give {one.__name__}(...)")
        if not any(callable(getattr(one, name, None)) for name in _TOLD):
            raise InputError(f"callbacks[{number}], a {type(one).__name__}, has none of {', '.join(_TOLD)}")
    return found


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
                # A GPU is asked only where this process already uses one.
                device = "cuda" if torch.cuda.is_initialized() else "cpu"  # type: ignore[no-untyped-call]
                with isolated_generators(device), contained(leaving=_THEIRS):
                    told(*copy.deepcopy(arguments))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's own code
                self._left = [one for one in self._left if one is not callback]  # by identity, never by `==`
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                self._note(
                    f"callback {type(callback).__name__}.{name} raised {reason}; it is left out from now on"
                )
