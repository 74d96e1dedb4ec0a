"""What the harness does while a method trains: progress, learning curve, selection, checkpoints."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from benchmark.contracts import FitContext
from benchmark.files.write import write_file
from benchmark.fit.checkpoint import read_checkpoint, write_checkpoint
from benchmark.fit.harness import Harness, harness_of
from benchmark.fit.looks import Looks
from benchmark.fit.randomness import seed_everything, undisturbed
from benchmark.fit.runtime import Progress, Runtime
from benchmark.fit.tensors import logged, storable
from benchmark.spec import FitSpec
from benchmark.store.record import SAMPLES, CurvePoint

log = logging.getLogger(__name__)

#: What updates leave on a GPU is read after so many of them, or so many seconds, at the latest.
READ_EVERY, READ_SECONDS = 50, 1.0


@dataclass(eq=False)
class RunningContext(FitContext):
    """The context of a real fit; see `attach`. No attribute of it leads to queries, database or hidden labels.

    Training seconds leave evaluations out and count the earlier runs of a continued fit in. stops_after: as of
    `HashMethod`. batches: how many were trained on; made: the optimiser steps made with them.
    """

    spec: FitSpec | None = None
    stops_after: int | None = None
    runtime: Runtime = field(default_factory=Runtime)
    curve: list[CurvePoint] = field(default_factory=list)
    samples: dict[str, bytes] = field(default_factory=dict, repr=False)
    best: tuple[float, int, dict[str, Tensor]] | None = field(default=None, repr=False)

    __hash__, __eq__ = object.__hash__, object.__eq__  # one context is one fit

    def __post_init__(self) -> None:
        self._began = self._last_save = time.monotonic()
        self._last_progress = 0.0
        self._evaluating = self._before = self.trained_seconds = 0.0
        self._first_step: int | None = None
        self._reached = 0
        self._made: int | None = None
        self._read: tuple[int, float] | None = None

    @property
    def fit_spec(self) -> FitSpec:
        """The fit's specification. Raises TypeError when the context was built without one."""
        if self.spec is None:
            raise TypeError("a RunningContext needs a spec")
        return self.spec

    def start(self) -> None:
        """Start the training clock."""
        self._began = self._last_save = time.monotonic()
        closed = self.spec is not None and self.spec.epochs is None  # it makes no updates to count
        _tell(self, Progress("train", 0, 0 if closed else self.updates))

    def train_seconds(self) -> float:
        """Seconds of training so far."""
        return max(0.0, self._before + time.monotonic() - self._began - self._evaluating)

    # ---- what methods call -------------------------------------------------------------------

    def begin_step(self, step: int) -> None:
        """Reseed every global generator from (seed, step)."""
        self._reached = step + 1
        harness = harness_of(self)
        if harness is not None:
            harness.compiled.begin_step()
        seed_everything(self.seed("step", step))

    def count(self, made: int) -> None:
        """Keep the number for the record."""
        self._made = made

    def reads(self, step: int) -> bool:
        """Always on the CPU, where it costs nothing; else when the model is looked at or saved after the update,
        at the first and the last one, after `READ_EVERY` updates and after `READ_SECONDS`.
        """
        now = time.monotonic()
        due = (
            self.device.type == "cpu"
            or self._read is None
            or step - self._read[0] >= READ_EVERY
            or now - self._read[1] >= READ_SECONDS
            or step + 1 in (self.updates, *self.looks.due())
            or self._save_due()
        )
        if due:
            self._read = step, now
        return due

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Keep the scalars and tell the display, ten times a second at most.

        Raises TypeError for a value that is no number.
        """
        if not isinstance(scalars, Mapping):
            raise TypeError(
                f"ctx.log at update {step} was given {type(scalars).__name__}, not numbers by name"
            )
        scalars = {str(name): logged(name, value, step) for name, value in scalars.items()}
        super().log(step, scalars)
        self._reached = max(self._reached, step + 1)
        if self._first_step is None:
            self._first_step = step
            self._try_state()
        now, done = time.monotonic(), step + 1
        if now - self._last_progress < 0.1 and done < self.updates:
            return
        self._last_progress = now
        rate = (done - self._first_step) / max(1e-9, self.train_seconds() - self._before)
        event = Progress(
            "train",
            done,
            self.updates,
            epoch=done / self.updates * self.epochs,
            loss=next(iter(scalars.values()), None),
            images_per_second=rate * self.batch_size,
            seconds_left=(self.updates - done) / rate,
        )
        _tell(self, event)

    def _try_state(self) -> None:
        """Raise TypeError for a state that could not be stored: before hours of training, not after.

        What is not there yet is left for the end.
        """
        state, harness = None, harness_of(self)
        with contextlib.suppress(Exception):
            state = harness.method.state() if harness is not None else None
        if state is not None:
            storable(state, whole=False)

    def evaluate(self, step: int) -> None:
        """Score the model when a point of the curve is due; keep the best one when `selection` asks for it."""
        if step not in self.looks.due():
            return
        harness = harness_of(self)
        if harness is None:
            raise TypeError("a RunningContext needs a method and an evaluator before it evaluates")
        seconds, begun = self.train_seconds(), time.monotonic()
        with undisturbed(harness.method, self.device), harness.compiled.paused():
            self._look(harness, step, seconds)
        self._evaluating += time.monotonic() - begun

    def _look(self, harness: Harness, step: int, seconds: float) -> None:
        """Add a point to the curve, and a grid of samples when one is asked for."""
        method, selection = harness.method, self.fit_spec.selection
        evaluator = harness.evaluator
        value = evaluator.held_out_map(method) if self.stops_after else evaluator.curve_map(method, selection)
        found = harness.probes.measure(method)
        part: Literal["query", "tuning"] = "tuning" if selection == "val" else "query"
        self.curve.append(
            CurvePoint(step=step, seconds=round(seconds, 3), map=value, part=part, **found.values)
        )
        if found.grid is not None:
            self._keep_grid(f"step-{step:06d}.png", found.grid)
        if step in self.looks.choosing() and (self.best is None or value > self.best[0]):
            self.best = (
                value,
                step,
                {key: tensor.clone() for key, tensor in storable(method.state()).items()},
            )

    def _keep_grid(self, name: str, content: bytes) -> None:
        """Keep a grid for the record; beside it at once, to be looked at while the fit runs."""
        self.samples[name] = content
        if self.workdir is not None:
            try:
                write_file(self.workdir / SAMPLES / name, content)
            except OSError as error:
                log.warning("%s cannot be written yet (%s); training goes on", name, str(error)[:200])

    @functools.cached_property
    def looks(self) -> Looks:
        """When the model is looked at."""
        how, selection = self.runtime, self.fit_spec.selection
        steps = how.curve_steps
        return Looks(self.updates, self.epochs, selection, self.stops_after, how.curve_points, steps)

    def should_stop(self) -> bool:
        """Whether the driver was asked to stop, or held-out images say that the best model lies behind."""
        return self.interrupted() or self.stopped_early

    def interrupted(self) -> bool:
        """Whether the driver was asked to stop."""
        harness = harness_of(self)
        return harness is not None and harness.stop()

    @property
    def stopped_early(self) -> bool:
        """Whether the best model lies far enough behind; the curve alone says it, so that a resume knows it."""
        best = self.best[1] if self.best else None
        return bool(self.stops_after) and self.looks.stopped(self.curve, best)

    @property
    def batches(self) -> int:
        """The budget, or where it was left early."""
        return self._reached if self.stopped_early and self._reached else self.updates

    @property
    def made(self) -> int:
        """Updates that were made: one a batch, unless the method counted its own."""
        return self.batches if self._made is None else self._made

    # ---- checkpoints -------------------------------------------------------------------------

    def save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Save a training state when the last one is old enough, or when the driver is stopping."""
        if self.workdir is None or step >= self.updates or self.stopped_early or not self._save_due():
            return
        content = {
            "fit_id": self.fit_spec.fit_id,
            "training": state(),
            "seconds": self.train_seconds(),
            "scalars": self.scalars,
            "curve": [point.model_dump() for point in self.curve],
            "best": self.best,
            "compiled": "" if (harness := harness_of(self)) is None else harness.compiled.text,
        }
        self._last_save = time.monotonic()
        write_checkpoint(self.workdir, content)

    def _save_due(self) -> bool:
        return time.monotonic() - self._last_save >= self.runtime.checkpoint_seconds or self.interrupted()

    def restore(self) -> dict[str, Any] | None:
        """The newest training state of this very fit; a damaged one costs its time, not the fit."""
        found = read_checkpoint(self.workdir, self.fit_spec.fit_id, self.device) if self.workdir else None
        if self.workdir is None or found is None:
            return None
        self.scalars, self.curve, self.best = found["scalars"], found["curve"], found["best"]
        self._before = found["seconds"]
        if (harness := harness_of(self)) is not None:
            harness.compiled.earlier = found["compiled"]
        for point in self.curve:
            grid = self.workdir / SAMPLES / f"step-{point.step:06d}.png"
            if grid.is_file():
                self.samples[grid.name] = grid.read_bytes()
        training: dict[str, Any] = found["training"]
        log.info("continuing after update %d", training["step"])
        return training


def _tell(ctx: RunningContext, event: Progress) -> None:
    harness = harness_of(ctx)
    if harness is not None:
        begun = time.monotonic()
        harness.progress(event)
        ctx._evaluating += time.monotonic() - begun  # a display, a tracker, a callback: no training
