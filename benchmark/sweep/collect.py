"""What comes of a run's jobs: results are saved, shown, tracked and counted."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmark import registry
from benchmark.errors import InputError
from benchmark.fit import environment
from benchmark.fit.result import FitResult, Result, ViewResult
from benchmark.fit.runtime import Progress, Runtime
from benchmark.spec import FitSpec, Job, ViewJob
from benchmark.store.locks import FitLocks
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_sync import catch_up
from benchmark.store.record import Artifacts, Failure, FailureKind, Record
from benchmark.store.store import Store
from benchmark.store.views import extend
from benchmark.sweep.callbacks import Callbacks
from benchmark.sweep.display import Display, mean_map, one_line, title
from benchmark.sweep.executors import Outcome
from benchmark.sweep.plan import Plan
from benchmark.sweep.stop import Stop


def _warn(text: str) -> None:
    """A line that silence does not swallow."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


#: What is told of a running fit to whoever asks for the folder's status.
_TOLD = frozenset({"phase", "step", "steps", "seconds_left"})


@dataclass(frozen=True)
class Summary:
    """What a run did: records of every planned fit that has one, and what was left undone.

    `elsewhere` counts the fits that another driver on the same folder finished meanwhile, `viewed` those that got
    views from stored weights; `unviewed` says of each fit whose views failed why. Its record is kept as it was.
    """

    records: list[Record]
    ran: int
    failed: int
    interrupted: str = ""
    untracked: int = 0
    elsewhere: int = 0
    viewed: int = 0
    unviewed: tuple[str, ...] = ()


class Collector:
    """Takes what a run's jobs give: saves, shows, tracks and counts it.

    numbers: (fit id, whether its views) -> the job's number on the display. viewed: records that got views here.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        runtime: Runtime,
        display: Display,
        tracker: Tracker | None,
        locks: FitLocks,
        callbacks: Iterable[Any] = (),
    ) -> None:
        self.callbacks = Callbacks(callbacks, _warn)
        self.plan, self.store, self.runtime = plan, store, runtime
        self.display, self.tracker, self.locks = display, tracker, locks
        self.fits = {planned.fit.fit_id: planned for planned in plan.fits if planned.run and planned.fit}
        pieces = [(fit_id, False) for fit_id, planned in self.fits.items() if not planned.extend]
        pieces += [(fit_id, True) for fit_id, planned in self.fits.items() if planned.views]
        self.numbers = {piece: number for number, piece in enumerate(pieces, 1)}
        self.begun: dict[str, str] = {}
        self.records: list[Record] = []
        self.read: dict[str, tuple[int, Record]] = {}
        self.viewed: dict[str, Record] = {}
        self.unviewed: list[str] = []
        self.elsewhere = 0

    # ---- what the executor says ----------------------------------------------------------------

    def started(self, job: Job) -> None:
        """Show that a job runs."""
        self.begun[job.fit.fit_id] = environment.now()
        self.display.fit_started(self._number(job), title(job))

    def progressed(self, job: Job, event: object) -> None:
        """Show how far a job is."""
        if isinstance(event, Progress):
            self.display.fit_progress(self._number(job), event)
            self.callbacks.progressed(job.fit, event)
            told = {
                name: value for name, value in asdict(event).items() if name in _TOLD and value is not None
            }
            self.locks.tell(job.fit.fit_id, {"label": title(job), **told})
            if self.tracker is not None and event.phase == "train" and event.loss is not None:
                rate = {"train.images_per_second": event.images_per_second}
                self.tracker.follow(
                    job.fit, self.runtime.sweep, {"train.loss": event.loss} | rate, event.step
                )

    def take(self, outcome: Outcome[Job, Result | None]) -> None:
        """Save, show and track an outcome. A fit that was stopped leaves its training state and no record.

        Raises InputError when the results folder takes no more.
        """
        job, result = outcome.item, outcome.value
        stopped = isinstance(job, ViewJob) and not outcome.failure and result is None
        if stopped or outcome.failure == "cancelled":
            self._show(job, f"{title(job)}: {outcome.message or 'stopped'}; it has no result yet")
        elif isinstance(job, ViewJob):
            self._keep_views(job, result, f"{outcome.failure}: {outcome.message}")
        elif isinstance(result, FitResult):
            self._keep(job, result)
        elif outcome.failure:
            begun = self.begun.get(job.fit.fit_id, "")
            self._keep(
                job, _lost(job.fit, outcome.failure, outcome.message, outcome.trace, begun, self.runtime)
            )

    def done_elsewhere(self, job: Job, text: str, counts: bool = True) -> None:
        """Another driver on the same folder has done this job; `counts`: it is one of the fits that it finished."""
        self.elsewhere += counts
        self._show(job, f"{job.fit.label}: {text}")

    # ---- what is kept --------------------------------------------------------------------------

    def _keep(self, job: Job, result: FitResult) -> None:
        record = result.record
        stamp = self.store.stamp(record.spec)
        if not self.locks.owns(record.fit_id) and stamp not in (None, self.fits[record.fit_id].stamp):
            # This driver slept, another took the fit over and was done first: one result is kept.
            self.done_elsewhere(job, "another driver had finished it")
            return
        try:
            self.store.save(record, result.artifacts)
        except OSError as error:
            raise unwritable(self.store, f"results of {record.spec.label}", error) from error
        self.records.append(record)
        self._show(job, one_line(record))
        self.callbacks.ended(record)
        if self.tracker is not None and not (record.state == "done" and self.fits[record.fit_id].views):
            self.tracker.send(record)  # with views to come it is sent once, with them

    def _keep_views(self, job: Job, result: Result | None, reason: str) -> None:
        """Add a finished fit's views to its record; whatever failed leaves the record as it was."""
        text = ""
        if isinstance(result, ViewResult):
            reason = f"{result.failure.kind}: {result.failure.message}" if result.failure else ""
            if not reason:
                try:
                    merged = extend(
                        self.store, result.record, result.scores, result.views, dict(result.arrays)
                    )
                except InputError as error:
                    reason = str(error)
                except OSError as error:
                    raise unwritable(self.store, f"views of {job.fit.label}", error) from error
                else:
                    self.viewed[merged.fit_id] = merged
                    text = f"{title(job)}: evaluated{mean_map(result.scores)}"
                    if self.tracker is not None:
                        self.tracker.send(merged)
        if reason:
            self.unviewed.append(f"{title(job)}: {reason}")
            text = f"{title(job)}: FAILED ({reason})"
        self._show(job, text)

    def _show(self, job: Job, text: str) -> None:
        self.display.fit_finished(self._number(job), text)

    def _number(self, job: Job) -> int:
        return self.numbers[job.fit.fit_id, isinstance(job, ViewJob)]

    # ---- at the end ----------------------------------------------------------------------------

    def send_again(self, stop: Stop) -> None:
        """Send what the tracker lacks of the whole sweep: it was away, an earlier driver died before it was sent,
        or views were waited for that did not come.
        """
        if self.tracker is None:
            return
        if stop.name:  # leave at once, but for what was held back
            held = [one for one in self.records if self.fits[one.fit_id].views]
            records = {one.fit_id: one for one in held} | self.viewed
            catch_up(self.tracker, records.values(), self.locks)
            return
        self.tracker.resume()
        if catch_up(self.tracker, self.results(), self.locks, stop.event.is_set, self.display.note):
            self.tracker.close_sweep(self.runtime.sweep)

    def results(self) -> list[Record]:
        """The records of every planned fit that has one; each is read once, and again when it was written since."""
        found = []
        for fit in (planned.fit for planned in self.plan.fits if planned.fit is not None):
            stamp = self.store.stamp(fit)
            if stamp is None:
                continue
            known = self.read.get(fit.fit_id)
            if known is None or known[0] != stamp:
                record = self.store.readable(fit)
                if record is None:
                    continue
                known = self.read[fit.fit_id] = (stamp, record)
            found.append(known[1])
        return found

    def summary(self, interrupted: str = "") -> Summary:
        """What the run did; `interrupted`: the name of the signal that ended it."""
        records = self.results()
        untracked = sum(not self.tracker.is_sent(record) for record in records) if self.tracker else 0
        return Summary(
            records,
            len(self.records),
            sum(record.state == "failed" for record in self.records),
            interrupted,
            untracked,
            self.elsewhere,
            len(self.viewed),
            tuple(self.unviewed),
        )


def _lost(
    spec: FitSpec, kind: FailureKind, message: str, trace: str, started: str, runtime: Runtime
) -> FitResult:
    """The result of a fit whose worker has none to give: lost, over its time, or never begun."""
    record = Record(
        fit_id=spec.fit_id,
        spec=spec,
        state="failed",
        source_digest=registry.find("methods", spec.method).digest,
        command=runtime.command,
        sweep=runtime.sweep,
        started=started,
        finished=environment.now(),
        environment=environment.describe(runtime.device, spec.precision, 0),
        failure=Failure(kind=kind, message=" ".join(message.split())[:1000], traceback=trace[-8000:]),
    )
    return FitResult(record, Artifacts())


def set_aside(store: Store, spec: FitSpec) -> str:
    """Keep a damaged record under another name, for its fit to be made again. Returns what to say of it."""
    try:
        place = store.set_aside(spec)
    except OSError as error:
        raise unwritable(store, f"the damaged record of {spec.label}", error) from error
    return f"{spec.label}: its damaged record is kept as {store.name(spec)}/{place}"


def unwritable(store: Store, what: str, error: OSError) -> InputError:
    """The error of a results folder that takes no more files."""
    reason = error.strerror or error
    return InputError(
        f"{what} cannot be written to {str(store.root)!r}: {reason}; make room and run the same command again"
    )
