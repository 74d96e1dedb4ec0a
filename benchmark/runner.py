"""Run a plan: claim each fit, hand it to the executor, save and track what comes back, sum it up."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmark import datastore, environment, registry, trial
from benchmark.claims import Claims
from benchmark.errors import InputError
from benchmark.executors import LATER, Executor, Later, Outcome, RayCluster, Serial, Watch
from benchmark.planning import RETRY, Plan, Planned, plan, save_sweep, weights_identity
from benchmark.progress import Display
from benchmark.records import Artifacts, Failure, FailureKind, Record, Store
from benchmark.spec import Job
from benchmark.tracking import Tracker
from benchmark.watch import Progress, Runtime
from benchmark.work import Work

__all__ = ["RETRY", "Plan", "Planned", "Summary", "execute", "plan", "save_sweep", "weights_identity"]

#: Seconds between two looks at fits that another driver is running.
POLL = 1.0
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass(frozen=True)
class Summary:
    """What a run did: records of every cell that has one, and what was left undone.

    `elsewhere` counts the fits that another driver on the same folder finished meanwhile.
    """

    records: list[Record]
    ran: int
    failed: int
    interrupted: str = ""
    untracked: int = 0
    elsewhere: int = 0


def execute(
    plan_: Plan,
    store: Store,
    runtime: Runtime,
    data_root: Path | None,
    display: Display,
    tracker: Tracker | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Run the planned jobs, saving and tracking each as it ends.

    A failing job becomes a failed record and the others run. SIGINT and SIGTERM save the running fits' training
    states and end the run; the same command continues it. Raises InputError when results cannot be written.
    """
    executor = executor or Serial()
    run = _Run(plan_, store, runtime, display, tracker)
    display.sweep_started(len(plan_.jobs), plan_.counts()["done"])
    work = Work(store.root.resolve(), runtime, data_root.resolve() if data_root else None)
    if isinstance(executor, RayCluster):  # its machines need not see the data folder
        names = {job.fit.dataset for job in plan_.jobs}
        shipped = {
            name: datastore.load(registry.dataset(name, data_root), data_root) for name in sorted(names)
        }
        work = Work(work.results, runtime, work.data_root, shipped)
    watch = Watch(run.started, run.progressed, display.note, run.stop.event.is_set)
    try:
        with run.stop.listening(display.note), run.claims:
            with contextlib.closing(executor.run(work, run.jobs(), watch)) as outcomes:  # type: ignore[type-var]
                for outcome in outcomes:
                    run.finish(outcome)
            run.claims.tidy(cell.job.fit.fit_id for cell in plan_.cells if cell.job)
            if tracker is not None and not run.stop.name:
                run.track_again(tracker)
    except KeyboardInterrupt:
        run.stop.name = run.stop.name or "SIGINT"
    finally:
        display.close()
    return run.summary()


@dataclass
class _Stop:
    """The signal that asked the run to stop, if any. A second one ends it at once."""

    name: str = ""
    event: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self, note: Callable[[str], None]) -> Iterator[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into a request to stop; outside the main thread do nothing."""

        def handle(number: int, frame: object) -> None:
            if self.event.is_set():
                raise KeyboardInterrupt
            self.name = signal.Signals(number).name
            self.event.set()
            note(f"{self.name}: saving what is running; once more to end at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Run:
    """The state of one run: what is left, what is running, what came out."""

    def __init__(
        self, plan_: Plan, store: Store, runtime: Runtime, display: Display, tracker: Tracker | None
    ) -> None:
        self.plan, self.store, self.runtime = plan_, store, runtime
        self.display, self.tracker = display, tracker
        self.claims, self.stop = Claims(store.root), _Stop()
        cells = [cell for cell in plan_.cells if cell.run and cell.job]
        self.cells = {cell.job.fit.fit_id: cell for cell in cells if cell.job}
        self.numbers = {fit_id: number for number, fit_id in enumerate(self.cells, 1)}
        self.begun: dict[str, str] = {}
        self.told: set[str] = set()
        self.records: list[Record] = []
        self.elsewhere = 0

    # ---- what the executor asks and says -------------------------------------------------------

    def jobs(self) -> Iterator[Job | Later]:
        """The jobs that nobody else has, each claimed; those of other drivers are looked at again later."""
        now, later = deque(self.cells.items()), deque[tuple[str, Planned]]()
        next_look = time.monotonic() + POLL
        while now or later:
            if not now:
                if time.monotonic() < next_look:
                    yield LATER
                    continue
                now, later, next_look = later, now, time.monotonic() + POLL
            fit_id, cell = now.popleft()
            if self._finished_elsewhere(fit_id, cell):
                continue
            if not self._claim(fit_id):
                if fit_id not in self.told:
                    self.told.add(fit_id)
                    holder = self.claims.holder(fit_id) or "another driver"
                    self.display.note(f"{cell.label}: running elsewhere ({holder}); looked at again later")
                later.append((fit_id, cell))
                continue
            if self._finished_elsewhere(fit_id, cell):  # between the first look and the claim
                self.claims.release(fit_id)
                continue
            if cell.job:
                if cell.fresh:
                    self.store.restart(cell.job.fit)
                yield cell.job

    def started(self, job: Job) -> None:
        """Show that a job runs."""
        self.begun[job.fit.fit_id] = _now()
        self.display.fit_started(self.numbers[job.fit.fit_id], job.fit.label)

    def progressed(self, job: Job, event: object) -> None:
        """Show how far a job is."""
        if isinstance(event, Progress):
            self.display.fit_progress(self.numbers[job.fit.fit_id], event)

    def finish(self, outcome: Outcome[Job, trial.Outcome | None]) -> None:
        """Save, show and track an outcome. A fit that was stopped leaves its training state and no record."""
        job, number = outcome.item, self.numbers[outcome.item.fit.fit_id]
        if outcome.failure == "cancelled":
            self.display.fit_finished(number, f"{job.fit.label}: {outcome.message}; it has no result yet")
        elif outcome.failure:
            self._keep(number, self._failed(job, outcome.failure, outcome.message, outcome.trace))
        elif outcome.value is not None:
            self._keep(number, outcome.value)
        self.claims.release(job.fit.fit_id)

    # ---- the pieces ----------------------------------------------------------------------------

    def _finished_elsewhere(self, fit_id: str, cell: Planned) -> bool:
        stamp = self.store.stamp(cell.job.fit) if cell.job else None
        if stamp is None or stamp == cell.stamp:
            return False
        self.elsewhere += 1
        self.display.fit_finished(self.numbers[fit_id], f"{cell.label}: finished by another driver")
        return True

    def _claim(self, fit_id: str) -> bool:
        try:
            return self.claims.take(fit_id)
        except OSError as error:
            raise _unwritable(self.store, f"the claim of fit {fit_id}", error) from error

    def _keep(self, number: int, result: trial.Outcome) -> None:
        record = result.record
        stamp = self.store.stamp(record.spec)
        if not self.claims.owns(record.fit_id) and stamp not in (None, self.cells[record.fit_id].stamp):
            # This driver slept, another took the fit over and was done first: one result is kept.
            self.elsewhere += 1
            self.display.fit_finished(number, f"{record.spec.label}: another driver had finished it")
            return
        try:
            self.store.save(record, result.artifacts)
        except OSError as error:
            raise _unwritable(self.store, f"results of {record.spec.label}", error) from error
        self.records.append(record)
        self.display.fit_finished(number, _one_line(record))
        if self.tracker is not None:
            self.tracker.send(record)

    def _failed(self, job: Job, kind: FailureKind, message: str, trace: str) -> trial.Outcome:
        """The result of a fit whose worker has none to give: lost, over its time, or never begun."""
        spec = job.fit
        record = Record(
            fit_id=spec.fit_id,
            spec=spec,
            state="failed",
            source_digest=registry.find("methods", spec.method).digest,
            command=self.runtime.command,
            sweep=self.runtime.sweep,
            started=self.begun.get(spec.fit_id, ""),
            finished=_now(),
            environment=environment.describe(self.runtime.device, spec.precision, 0),
            failure=Failure(kind=kind, message=" ".join(message.split())[:1000], traceback=trace[-8000:]),
        )
        return trial.Outcome(record, Artifacts())

    def track_again(self, tracker: Tracker) -> None:
        """Send what a tracker missed that was away for a while."""
        tracker.resume()
        if not self.plan.jobs and all(tracker.is_sent(record) for record in self.records):
            return  # nothing is new: the tracker's client takes seconds to start
        for record in self.records:
            if not tracker.send(record):
                return
        if self.runtime.sweep:
            tracker.close_sweep(self.runtime.sweep)

    def summary(self) -> Summary:
        """What the run did."""
        found = [self.store.get(cell.job.fit) for cell in self.plan.cells if cell.job]
        records = [record for record in found if record is not None]
        untracked = sum(not self.tracker.is_sent(record) for record in records) if self.tracker else 0
        failed = sum(record.state == "failed" for record in self.records)
        return Summary(records, len(self.records), failed, self.stop.name, untracked, self.elsewhere)


def _unwritable(store: Store, what: str, error: OSError) -> InputError:
    reason = error.strerror or error
    return InputError(
        f"{what} cannot be written to {str(store.root)!r}: {reason}; make room and run the same command again"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _one_line(record: Record) -> str:
    if record.failure is not None:
        return f"{record.spec.label}: FAILED ({record.failure.kind}: {record.failure.message})"
    value = record.score()
    flags = f"  [{'; '.join(record.flags)}]" if record.flags else ""
    score = "no mAP" if value is None else f"mAP {value:.4f}"
    return f"{record.spec.label}: {score} in {record.timings.total:.1f} s{flags}"
