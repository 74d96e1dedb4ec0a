"""Run a plan: claim each fit, hand it to the executor, save and track what comes back, sum it up."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark import registry
from benchmark.data.load import load
from benchmark.errors import InputError
from benchmark.fit import result as trial
from benchmark.fit.runtime import Progress, Runtime
from benchmark.spec import Job, View
from benchmark.store.locks import Claims
from benchmark.store.mlflow import Tracker, catch_up
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.store.views import extend
from benchmark.sweep.collect import Summary, lost, now, set_aside, unwritable
from benchmark.sweep.display import Display, mean_map, one_line, title
from benchmark.sweep.executors import LATER, Executor, Later, Outcome, RayCluster, Serial, Watch
from benchmark.sweep.plan import Plan, Planned
from benchmark.sweep.stop import Stop
from benchmark.sweep.wanted_views import sources_of
from benchmark.sweep.worker import Work

#: Seconds between two looks at fits that another driver is running.
POLL = 1.0
_Maker = Callable[[str, Planned], Job | None]


def execute(
    plan_: Plan,
    store: Store,
    runtime: Runtime,
    data_root: Path | None,
    display: Display,
    tracker: Tracker | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Run the planned jobs, saving and tracking each as it ends; then views, from the stored weights.

    A failing job becomes a failed record and the others run. SIGINT and SIGTERM save the running fits' training
    states and end the run; the same command continues it. Raises InputError when results cannot be written.
    """
    executor = executor or Serial()
    run = _Run(plan_, store, runtime, display, tracker)
    display.sweep_started(len(run.numbers), plan_.counts()["done"])
    work = _work(plan_, store, runtime, data_root, isinstance(executor, RayCluster))
    watch = Watch(run.started, run.progressed, display.note, run.stop.event.is_set)
    try:
        with run.stop.listening(display.note), run.claims:
            for cells, make in run.stages():
                jobs = run.claimed(cells, make)
                with contextlib.closing(executor.run(work, jobs, watch)) as outcomes:  # type: ignore[type-var]
                    for outcome in outcomes:
                        run.finish(outcome)
            run.claims.tidy(cell.job.fit.fit_id for cell in plan_.cells if cell.job)
            if tracker is not None:
                run.track_again(tracker)
    except KeyboardInterrupt:
        run.stop.name = run.stop.name or "SIGINT"
    finally:
        display.close()
    return run.summary()


def _work(plan_: Plan, store: Store, runtime: Runtime, data_root: Path | None, ship: bool) -> Work:
    """What workers do; `ship` hands them the data sets, for machines that do not see the data folder."""
    root = data_root.resolve() if data_root else None
    names = {job.fit.dataset for job in plan_.jobs}
    if not ship:
        infos = {name: registry.find("datasets", name, data_root).dataset_info for name in sorted(names)}
        return Work(store.root.resolve(), runtime, root, infos=infos)
    names |= {name for cell in plan_.cells if cell.run for name in sources_of(cell.views)}
    shipped = {name: load(registry.dataset(name, data_root), data_root) for name in sorted(names)}
    return Work(store.root.resolve(), runtime, root, shipped)


class _Run:
    """The state of one run: what is left, what is running, what came out."""

    def __init__(
        self, plan_: Plan, store: Store, runtime: Runtime, display: Display, tracker: Tracker | None
    ) -> None:
        self.plan, self.store, self.runtime = plan_, store, runtime
        self.display, self.tracker = display, tracker
        self.claims, self.stop = Claims(store.root), Stop()
        self.cells = {cell.job.fit.fit_id: cell for cell in plan_.cells if cell.run and cell.job}
        pieces = [(fit_id, False) for fit_id, cell in self.cells.items() if not cell.extend]
        pieces += [(fit_id, True) for fit_id, cell in self.cells.items() if cell.views]
        self.numbers = {piece: number for number, piece in enumerate(pieces, 1)}
        self.begun: dict[str, str] = {}
        self.told: set[str] = set()
        self.records: list[Record] = []
        self.read: dict[str, tuple[int, Record]] = {}
        self.viewed: dict[str, Record] = {}
        self.unviewed: list[str] = []
        self.elsewhere = 0

    # ---- what the executor asks and says -------------------------------------------------------

    def stages(self) -> Iterator[tuple[dict[str, Planned], _Maker]]:
        """What to run, and how a job is made of it: the fits first, then the views of those that are finished."""
        fits = {fit_id: cell for fit_id, cell in self.cells.items() if not cell.extend}
        if fits or not self.cells:
            yield fits, self._to_train
        views = {fit_id: cell for fit_id, cell in self.cells.items() if cell.views}
        if views and not self.stop.name:
            yield views, self._to_view

    def claimed(self, cells: dict[str, Planned], make: _Maker) -> Iterator[Job | Later]:
        """The jobs that nobody else has, each claimed; those of other drivers are looked at again later.

        `make` gives a cell's job, or None when there is nothing to do; it is asked again once the claim is held.
        """
        now, later = deque(cells.items()), deque[tuple[str, Planned]]()
        next_look = time.monotonic() + POLL
        while now or later:
            if not now:
                if time.monotonic() < next_look:
                    yield LATER
                    continue
                now, later, next_look = later, now, time.monotonic() + POLL
            fit_id, cell = now.popleft()
            if make(fit_id, cell) is None:
                continue
            if not self._claim(fit_id):
                if fit_id not in self.told:
                    self.told.add(fit_id)
                    holder = self.claims.holder(fit_id) or "another driver"
                    self.display.note(f"{cell.label}: running elsewhere ({holder}); looked at again later")
                later.append((fit_id, cell))
                continue
            job = make(fit_id, cell)
            if job is None:
                self.claims.release(fit_id)
                continue
            if cell.damaged and not job.stored:
                self.display.note(set_aside(self.store, job.fit))
            if cell.fresh and not job.stored:
                self.store.restart(job.fit)
            yield job

    def _to_train(self, fit_id: str, cell: Planned) -> Job | None:
        return None if self._finished_elsewhere(fit_id, cell) else cell.job

    def _to_view(self, fit_id: str, cell: Planned) -> Job | None:
        """The views that the record, as it is now, lacks: of this method's source, and of no other."""
        record = self.store.readable(cell.job.fit) if cell.job else None
        if record is None or record.state != "done":
            return None
        if not registry.is_current(record.spec.method, record.source_digest):
            return None
        has = {(facts.view, facts.version) for facts in record.views}
        missing = [view for view in cell.views if (str(view), view.version) not in has]
        if missing:
            return Job(fit=record.spec, views=tuple(View(name=str(view)) for view in missing), stored=True)
        if fit_id not in self.viewed:
            self.elsewhere += cell.extend
            text = f"{cell.label}: views evaluated by another driver"
            self.display.fit_finished(self.numbers[fit_id, True], text)
        return None

    def started(self, job: Job) -> None:
        """Show that a job runs."""
        self.begun[job.fit.fit_id] = now()
        self.display.fit_started(self._number(job), title(job))

    def progressed(self, job: Job, event: object) -> None:
        """Show how far a job is."""
        if isinstance(event, Progress):
            self.display.fit_progress(self._number(job), event)

    def finish(self, outcome: Outcome[Job, trial.Outcome | None]) -> None:
        """Save, show and track an outcome. A fit that was stopped leaves its training state and no record."""
        job, number = outcome.item, self._number(outcome.item)
        if outcome.failure == "cancelled" or (job.stored and not outcome.failure and outcome.value is None):
            text = outcome.message or "stopped"
            self.display.fit_finished(number, f"{title(job)}: {text}; it has no result yet")
        elif job.stored:
            self._keep_views(job, outcome)
        elif outcome.failure:
            begun = self.begun.get(job.fit.fit_id, "")
            self._keep(
                number, lost(job, outcome.failure, outcome.message, outcome.trace, begun, self.runtime)
            )
        elif outcome.value is not None:
            self._keep(number, outcome.value)
        self.claims.release(job.fit.fit_id)

    def _keep_views(self, job: Job, outcome: Outcome[Job, trial.Outcome | None]) -> None:
        """Add a finished fit's views to its record; whatever failed leaves the record as it was."""
        reason, text = f"{outcome.failure}: {outcome.message}", ""
        if outcome.value is not None:
            found = outcome.value.record
            reason = f"{found.failure.kind}: {found.failure.message}" if found.failure else ""
            if not reason:
                try:
                    arrays = dict(outcome.value.artifacts.views)
                    merged = extend(self.store, found, found.scores, found.views, arrays)
                except InputError as error:
                    reason = str(error)
                except OSError as error:
                    raise unwritable(self.store, f"views of {job.fit.label}", error) from error
                else:
                    self.viewed[merged.fit_id] = merged
                    text = f"{title(job)}: evaluated{mean_map(found)}"
                    if self.tracker is not None:
                        self.tracker.send(merged)
        if reason:
            self.unviewed.append(f"{title(job)}: {reason}")
            text = f"{title(job)}: FAILED ({reason})"
        self.display.fit_finished(self._number(job), text)

    def _number(self, job: Job) -> int:
        return self.numbers[job.fit.fit_id, job.stored]

    # ---- the pieces ----------------------------------------------------------------------------

    def _finished_elsewhere(self, fit_id: str, cell: Planned) -> bool:
        stamp = self.store.stamp(cell.job.fit) if cell.job else None
        if stamp is None or stamp == cell.stamp:
            return False
        self.elsewhere += 1
        self.display.fit_finished(self.numbers[fit_id, False], f"{cell.label}: finished by another driver")
        return True

    def _claim(self, fit_id: str) -> bool:
        try:
            return self.claims.take(fit_id)
        except OSError as error:
            raise unwritable(self.store, f"the claim of fit {fit_id}", error) from error

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
            raise unwritable(self.store, f"results of {record.spec.label}", error) from error
        self.records.append(record)
        self.display.fit_finished(number, one_line(record))
        if self.tracker is not None and not (record.state == "done" and self.cells[record.fit_id].views):
            self.tracker.send(record)  # with views to come it is sent once, with them

    def track_again(self, tracker: Tracker) -> None:
        """Send what the tracker lacks of the whole sweep: it was away, an earlier driver died before it was sent,
        or views were waited for that did not come.
        """
        if self.stop.name:  # leave at once, but for what was held back
            held = [one for one in self.records if self.cells[one.fit_id].views]
            records = {one.fit_id: one for one in held} | self.viewed
            catch_up(tracker, records.values(), self.claims)
            return
        tracker.resume()
        stop, note = self.stop.event.is_set, self.display.note
        if catch_up(tracker, self.results(), self.claims, stop, note):
            tracker.close_sweep(self.runtime.sweep)

    def results(self) -> list[Record]:
        """The records of every cell that has one; each is read once, and again when it was written since."""
        found = []
        for cell in self.plan.cells:
            stamp = self.store.stamp(cell.job.fit) if cell.job else None
            if cell.job is None or stamp is None:
                continue
            known = self.read.get(cell.job.fit.fit_id)
            if known is None or known[0] != stamp:
                record = self.store.readable(cell.job.fit)
                if record is None:
                    continue
                known = self.read[cell.job.fit.fit_id] = (stamp, record)
            found.append(known[1])
        return found

    def summary(self) -> Summary:
        """What the run did."""
        records = self.results()
        untracked = sum(not self.tracker.is_sent(record) for record in records) if self.tracker else 0
        failed = sum(record.state == "failed" for record in self.records)
        return Summary(
            records,
            len(self.records),
            failed,
            self.stop.name,
            untracked,
            self.elsewhere,
            len(self.viewed),
            tuple(self.unviewed),
        )
