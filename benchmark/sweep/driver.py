"""Run a plan: lock each fit, hand its jobs to the executor, and what comes back to the collector."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.data.load import load
from benchmark.fit.runtime import Runtime
from benchmark.spec import Job, TrainJob, ViewJob
from benchmark.store.locks import FitLocks
from benchmark.store.mlflow import Tracker
from benchmark.store.store import Store
from benchmark.sweep.collect import Collector, Summary, set_aside, unwritable
from benchmark.sweep.display import Display
from benchmark.sweep.executors import LATER, Executor, Later, RayCluster, Serial, Watch
from benchmark.sweep.plan import Plan, PlannedFit
from benchmark.sweep.stop import Stop
from benchmark.sweep.wanted_views import sources_of
from benchmark.sweep.worker import Work

#: Seconds between two looks at fits that another driver is running.
POLL = 1.0
_Maker = Callable[[str, PlannedFit], Job | None]


def execute(
    plan: Plan,
    store: Store,
    runtime: Runtime,
    data_root: Path | None,
    display: Display,
    tracker: Tracker | None = None,
    executor: Executor | None = None,
    callbacks: Iterable[Any] = (),
) -> Summary:
    """Run the planned jobs, saving and tracking each as it ends; then views, from the stored weights.

    A failing job becomes a failed record and the others run. SIGINT and SIGTERM save the running fits' training
    states and end the run; the same command continues it. Raises InputError when results cannot be written.
    """
    executor = executor or Serial()
    locks, stop = FitLocks(store.root), Stop()
    collector = Collector(plan, store, runtime, display, tracker, locks, callbacks)
    run = _Run(store, display, locks, collector)
    display.sweep_started(len(collector.numbers), plan.counts()["done"])
    work = _work(plan, store, runtime, data_root, isinstance(executor, RayCluster))
    watch = Watch(collector.started, collector.progressed, display.note, stop.event.is_set)
    try:
        with stop.listening(display.note), locks:
            if tracker is not None:
                tracker.end_dead(locks)
            for fits, make in run.stages(stop):
                jobs = run.locked(fits, make)
                with contextlib.closing(executor.run(work, jobs, watch)) as outcomes:  # type: ignore[type-var]
                    for outcome in outcomes:
                        collector.take(outcome)
                        locks.release(outcome.item.fit.fit_id)
            locks.tidy(planned.fit.fit_id for planned in plan.fits if planned.fit)
            collector.send_again(stop)
    except KeyboardInterrupt:
        stop.name = stop.name or "SIGINT"
    finally:
        display.close()
        if tracker is not None:
            tracker.let_go()
    return collector.summary(stop.name)


def _work(plan: Plan, store: Store, runtime: Runtime, data_root: Path | None, ship: bool) -> Work:
    """What workers do; `ship` hands them the data sets, for machines that do not see the data folder."""
    root = data_root.resolve() if data_root else None
    names = {fit.dataset for fit in plan.to_run}
    if not ship:
        infos = {name: registry.find("datasets", name, data_root).dataset_info for name in sorted(names)}
        return Work(store.root.resolve(), runtime, root, infos=infos)
    names |= {name for planned in plan.fits if planned.run for name in sources_of(planned.views)}
    shipped = {name: load(registry.dataset(name, data_root), data_root) for name in sorted(names)}
    return Work(store.root.resolve(), runtime, root, shipped)


class _Run:
    """Which jobs a run has left, and which of them nobody else has."""

    def __init__(self, store: Store, display: Display, locks: FitLocks, collector: Collector) -> None:
        self.store, self.display, self.locks, self.collector = store, display, locks, collector
        self.fits = collector.fits
        self.told: set[str] = set()

    def stages(self, stop: Stop) -> Iterator[tuple[dict[str, PlannedFit], _Maker]]:
        """What to run, and how a job is made of it: the fits first, then the views of those that are finished."""
        fits = {fit_id: planned for fit_id, planned in self.fits.items() if not planned.extend}
        if fits or not self.fits:
            yield fits, self._to_train
        views = {fit_id: planned for fit_id, planned in self.fits.items() if planned.views}
        if views and not stop.name:
            yield views, self._to_view

    def locked(self, fits: dict[str, PlannedFit], make: _Maker) -> Iterator[Job | Later]:
        """The jobs that nobody else has, each locked; those of other drivers are looked at again later.

        `make` gives a fit's job, or None when there is nothing to do; it is asked again once the lock is held.
        """
        now, later = deque(fits.items()), deque[tuple[str, PlannedFit]]()
        next_look = time.monotonic() + POLL
        while now or later:
            if not now:
                if time.monotonic() < next_look:
                    yield LATER
                    continue
                now, later, next_look = later, now, time.monotonic() + POLL
            fit_id, planned = now.popleft()
            if make(fit_id, planned) is None:
                continue
            if not self._lock(fit_id):
                if fit_id not in self.told:
                    self.told.add(fit_id)
                    holder = self.locks.holder(fit_id) or "another driver"
                    self.display.note(f"{planned.label}: running elsewhere ({holder}); looked at again later")
                later.append((fit_id, planned))
                continue
            job = make(fit_id, planned)
            if job is None:
                self.locks.release(fit_id)
                continue
            if isinstance(job, TrainJob) and planned.damaged:
                self.display.note(set_aside(self.store, job.fit))
            if isinstance(job, TrainJob) and planned.fresh:
                self.store.restart(job.fit)
            yield job

    def _to_train(self, fit_id: str, planned: PlannedFit) -> Job | None:
        stamp = self.store.stamp(planned.fit) if planned.fit else None
        if planned.fit is None or stamp in (None, planned.stamp):
            return TrainJob(planned.fit) if planned.fit else None
        self.collector.done_elsewhere(TrainJob(planned.fit), "finished by another driver")
        return None

    def _to_view(self, fit_id: str, planned: PlannedFit) -> Job | None:
        """The views that the record, as it is now, lacks: of this method's source, and of no other."""
        record = self.store.readable(planned.fit) if planned.fit else None
        if record is None or record.state != "done":
            return None
        if not registry.is_current(record.spec.method, record.source_digest):
            return None
        has = {(facts.view, facts.version) for facts in record.views}
        missing = tuple(view for view in planned.views if (str(view), view.version) not in has)
        if missing:
            return ViewJob(record.spec, missing)
        if fit_id not in self.collector.viewed:
            self.collector.done_elsewhere(
                ViewJob(record.spec, ()), "views evaluated by another driver", planned.extend
            )
        return None

    def _lock(self, fit_id: str) -> bool:
        try:
            return self.locks.take(fit_id)
        except OSError as error:
            raise unwritable(self.store, f"the lock of fit {fit_id}", error) from error
