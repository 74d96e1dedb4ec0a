"""What a person sees while a sweep runs: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from benchmark.fit.runtime import Progress as Event
from benchmark.spec import Job, ViewJob
from benchmark.store.record import Record, Score

#: Characters below which a terminal has no room for live bars, and below which they go without the bar itself.
NARROW, SHORT = 60, 120


class Display(Protocol):
    """Told of everything that happens in a sweep."""

    def sweep_started(self, fits: int, done: int) -> None:
        """`fits` will run now, `done` were finished before."""

    def fit_started(self, number: int, label: str) -> None:
        """The `number`-th fit (from 1) begins."""

    def fit_progress(self, number: int, event: Event) -> None:
        """The `number`-th fit moved on."""

    def fit_finished(self, number: int, text: str) -> None:
        """The `number`-th fit ended; `text` says how."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """The sweep is over."""


def make_display(console: Console) -> Display:
    """Bars when the console is a terminal with room for them, lines otherwise."""
    return Bars(console) if console.is_terminal and console.width >= NARROW else Lines()


def _state(event: Event) -> str:
    parts = [f"epoch {event.epoch:.1f}" if event.phase == "train" and event.steps else event.phase]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4g}")
    if event.images_per_second:
        parts.append(f"{event.images_per_second:,.0f} img/s")
    if event.seconds_left is not None:
        parts.append(f"{_duration(event.seconds_left)} left")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Bars:
    """One bar for the sweep, one for each running fit."""

    def __init__(self, console: Console) -> None:
        # Names and numbers take a second line before they are cut.
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}", table_column=Column(overflow="fold")),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[state]}", table_column=Column(overflow="fold")),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
        ]
        if console.width >= SHORT:
            columns.insert(1, BarColumn(bar_width=24))
        self._progress = Progress(*columns, console=console)
        self._sweep: TaskID | None = None
        self._fits: dict[int, TaskID] = {}
        self._began = time.monotonic()

    def sweep_started(self, fits: int, done: int) -> None:
        """Show the sweep's bar."""
        self._progress.start()
        self._sweep = self._progress.add_task(
            "sweep", total=fits, state=f"{done} done before" if done else ""
        )

    def fit_started(self, number: int, label: str) -> None:
        """Show the fit's bar."""
        if number not in self._fits:
            self._fits[number] = self._progress.add_task(label, total=None, state="loading")

    def fit_progress(self, number: int, event: Event) -> None:
        """Move the fit's bar."""
        bar = self._fits.get(number)
        if bar is None:
            return
        if event.steps:
            self._progress.update(bar, completed=event.step, total=event.steps, state=_state(event))
        else:
            self._progress.update(bar, state=_state(event))

    def fit_finished(self, number: int, text: str) -> None:
        """Replace the fit's bar by a line and move the sweep's."""
        if number in self._fits:
            self._progress.remove_task(self._fits.pop(number))
        self._progress.console.print(Text(text))
        if self._sweep is not None:
            self._progress.advance(self._sweep)
            task = self._progress.tasks[0]
            if task.total and task.completed:
                rate = (time.monotonic() - self._began) / task.completed
                left = _duration(rate * (task.total - task.completed))
                self._progress.update(self._sweep, state=f"{left} left")

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._progress.console.print(Text(text))

    def close(self) -> None:
        """Take the bars down."""
        self._progress.stop()


class Lines:
    """A line when a fit starts and ends, and one at most every `every` seconds between."""

    def __init__(self, every: float = 10.0) -> None:
        self._every, self._last = every, 0.0
        self._total, self._labels = 0, dict[int, str]()
        self._through, self._began, self._counted = 0, time.monotonic(), time.monotonic()

    def sweep_started(self, fits: int, done: int) -> None:
        """Say what is to come."""
        self._total, self._began = fits, time.monotonic()
        self.note(f"{fits} fits to run, {done} done before")

    def fit_started(self, number: int, label: str) -> None:
        """Name the fit."""
        self._labels[number], self._last = label, time.monotonic()
        self.note(f"[{number}/{self._total}] {label}: started")

    def fit_progress(self, number: int, event: Event) -> None:
        """Print now and then."""
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        steps = f" {event.step}/{event.steps}" if event.steps else ""
        self.note(f"[{number}/{self._total}] {self._labels[number]}:{steps} {_state(event)}")

    def fit_finished(self, number: int, text: str) -> None:
        """Print the outcome, and now and then how long the sweep will take."""
        self.note(f"[{number}/{self._total}] {text}")
        self._through, now = self._through + 1, time.monotonic()
        if now - self._counted >= self._every and self._through < self._total:
            self._counted = now
            left = (now - self._began) / self._through * (self._total - self._through)
            self.note(f"{self._through} of {self._total} done, {_duration(left)} left at this rate")

    def note(self, text: str) -> None:
        """Print at once: a pipe would hold lines back."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to take down."""


def title(job: Job) -> str:
    """The fit's name, and how many views of it."""
    if not isinstance(job, ViewJob):
        return job.fit.label
    return f"{job.fit.label}: {len(job.views)} view{'' if len(job.views) == 1 else 's'}"


def mean_map(scores: Iterable[Score]) -> str:
    """The mean mAP over the scores of new views, as the end of a line."""
    values = [score.value for score in scores if score.metric == "map"]
    return f", mean mAP {sum(values) / len(values):.4f}" if values else ""


def one_line(record: Record) -> str:
    """What became of a fit: its mAP and seconds, or why it failed."""
    if record.failure is not None:
        return f"{record.spec.label}: FAILED ({record.failure.kind}: {record.failure.message})"
    value = record.score()
    flags = f"  [{'; '.join(record.flags)}]" if record.flags else ""
    score = "no mAP" if value is None else f"mAP {value:.4f}"
    return f"{record.spec.label}: {score} in {record.timings.total:.1f} s{flags}"
