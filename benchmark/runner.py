"""Plan a sweep (jobs minus finished ones), run it, save and track each result, sum it up."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w

from benchmark import datastore, protocol, registry, trial
from benchmark.contracts import DatasetInfo, Task
from benchmark.errors import InputError
from benchmark.executors import Executor, Serial
from benchmark.progress import Display
from benchmark.records import Record, Store
from benchmark.spec import FitSpec, Job, Sweep, digest
from benchmark.tracking import Tracker
from benchmark.watch import Runtime

log = logging.getLogger(__name__)

State = Literal["planned", "done", "failed", "stale", "skipped"]
RETRY = ("failed", "stale", "all")


@dataclass(frozen=True)
class Planned:
    """One cell of the sweep: what it is, what is known of it, and whether it will run."""

    label: str
    state: State
    reason: str = ""
    job: Job | None = None
    run: bool = False


@dataclass(frozen=True)
class Plan:
    """All cells of a sweep, in the order in which they run."""

    sweep: Sweep
    cells: tuple[Planned, ...]

    @property
    def jobs(self) -> list[Job]:
        """The jobs that will run."""
        return [cell.job for cell in self.cells if cell.run and cell.job is not None]

    def counts(self) -> Counter[str]:
        """Cells per state."""
        return Counter(cell.state for cell in self.cells)


@dataclass(frozen=True)
class Summary:
    """What a run did: records of every cell that has one, and what was left undone."""

    records: list[Record]
    ran: int
    failed: int
    interrupted: str = ""
    untracked: int = 0


def plan(sweep: Sweep, store: Store, data_root: Path | None, retry: frozenset[str] = frozenset()) -> Plan:
    """Resolve every cell of a sweep to a fit and its state in the store.

    Names, parameters, protocols and data folders are all checked here, before anything runs or is written.
    Raises InputError for anything the user must mend; cells that a method does not support are skipped
    with the reason.
    """
    unknown_targets = [name for name in sweep.params if name not in sweep.methods]
    for name in unknown_targets:
        registry.find("methods", name)  # a misspelt name gets its suggestions
        raise InputError(
            f"--set names method {name!r}, which is not in this sweep: {', '.join(sweep.methods)}"
        )
    params = {
        name: registry.method_params(name, sweep.params.get(name, {})).model_dump(mode="json")
        for name in sweep.methods
    }
    weights = weights_identity(sweep.weights)
    infos = {name: registry.find("datasets", name).dataset_info for name in sweep.datasets}
    protocols = {name: protocol.resolve(sweep.protocol, info) for name, info in infos.items()}
    fingerprints = {
        name: datastore.fingerprint_of(registry.dataset(name), data_root) for name in sweep.datasets
    }
    for name, rule in protocols.items():
        _check_draws(rule, infos[name], datastore.labels_of(registry.dataset(name), data_root), sweep)
        registry.check_backbone(_task(infos[name], sweep.bits[0], sweep.backbone, sweep.weights))
    cells = []
    for dataset, method, bits, fraction, seed in sweep.cells():
        info, entry = infos[dataset], registry.find("methods", method)
        gradient = entry.info["trained_by"] == "updates"
        spec = FitSpec(
            method=method,
            method_version=entry.info["version"],
            params=params[method],
            dataset=dataset,
            fingerprint=fingerprints[dataset],
            protocol=protocols[dataset].name,
            protocol_version=protocols[dataset].version,
            backbone=sweep.backbone,
            weights=weights,
            bits=bits,
            label_fraction=fraction,
            seed=seed,
            epochs=(sweep.epochs or info.epochs) if gradient else None,
            batch_size=sweep.batch_size if gradient else None,
            selection=sweep.selection,
            precision=sweep.precision,
        )
        reason = _unsupported(spec, info, entry, sweep.weights)
        cells.append(_cell(spec, reason, entry.digest, store, retry))
    return Plan(sweep, tuple(cells))


def _check_draws(rule: protocol.Protocol, info: DatasetInfo, labels: np.ndarray, sweep: Sweep) -> None:
    """Try every label share once: whether a class has enough images does not depend on the seed."""
    for fraction in sweep.label_fractions:
        protocol.draw(rule, info, labels, sweep.seeds[0], fraction, tuning=sweep.selection == "val")


def _task(info: DatasetInfo, bits: int, backbone: str, weights: str) -> Task:
    return Task(
        bits=bits,
        classes=len(info.classes),
        channels=info.channels,
        height=info.height,
        width=info.width,
        multi_label=info.multi_label,
        backbone=backbone,
        weights=weights,
    )


def _unsupported(spec: FitSpec, info: DatasetInfo, entry: registry.Entry, weights: str) -> str:
    kind = "multi" if info.multi_label else "single"
    if kind not in entry.info["labels"]:
        return f"{spec.method} is for {'/'.join(entry.info['labels'])}-label data, {spec.dataset} is {kind}-label"
    task = _task(info, spec.bits, spec.backbone, weights)
    return registry.method_class(spec.method).supports(task) or ""


def _cell(spec: FitSpec, reason: str, source: str, store: Store, retry: frozenset[str]) -> Planned:
    label, job = spec.label, Job(fit=spec)
    if reason:
        return Planned(label, "skipped", reason)
    record = store.get(spec)
    again = "all" in retry
    if record is None:
        return Planned(label, "planned", job=job, run=True)
    if record.state == "failed":
        text = f"{record.failure.kind}: {record.failure.message}" if record.failure else ""
        return Planned(label, "failed", text, job, run=again or "failed" in retry)
    if record.source_digest != source:
        text = "its method's source changed since"
        return Planned(label, "stale", text, job, run=again or "stale" in retry)
    return Planned(label, "done", job=job, run=again)


def weights_identity(weights: str) -> str:
    """`none`, `imagenet`, or the digest of a weights file: identity never holds a path."""
    if weights in ("none", "imagenet"):
        return weights
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"weights {weights!r}: no such file; allowed: none, imagenet, or a file")
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return f"file-{hasher.hexdigest()[:16]}"


def save_sweep(plan_: Plan, store: Store) -> Path:
    """Write the resolved sweep (a valid suite file) and its list of fits; returns the suite file's path."""
    keys = plan_.sweep.model_dump(mode="json", exclude_none=True)
    keys["set"] = {name: _without_none(values) for name, values in keys.pop("params").items()}
    name = digest(keys)
    jobs = [{"fit_id": cell.job.fit.fit_id, "label": cell.label} for cell in plan_.cells if cell.job]
    store.write_text(f"sweeps/{name}.json", json.dumps(jobs, indent=1) + "\n")
    return store.write_text(f"sweeps/{name}.toml", tomli_w.dumps(keys))


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: "none" if value is None else value for key, value in values.items()}


@dataclass
class _Stop:
    """The signal that asked the run to stop, if any. A second one ends it at once."""

    name: str = ""
    event: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self, note: Callable[[str], None]) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into a request to stop; elsewhere than in the main thread do nothing."""

        def handle(number: int, frame: object) -> None:
            if self.event.is_set():
                raise KeyboardInterrupt
            self.name = signal.Signals(number).name
            self.event.set()
            note(f"{self.name}: saving the running fit; once more to end at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def execute(
    plan_: Plan,
    store: Store,
    runtime: Runtime,
    data_root: Path | None,
    display: Display,
    tracker: Tracker | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Run the planned jobs one by one, saving and tracking each as it ends.

    A failing job becomes a failed record and the next one runs. SIGINT and SIGTERM save the running fit's
    training state and end the run; the same command continues it.
    """
    jobs, stop = plan_.jobs, _Stop()
    failed = ran = 0
    restart = {
        cell.job.fit.fit_id for cell in plan_.cells if cell.run and cell.job and cell.state != "planned"
    }
    display.sweep_started(len(jobs), plan_.counts()["done"])
    load = functools.lru_cache(maxsize=1)(lambda name: datastore.load(registry.dataset(name), data_root))
    numbers = {id(job): number for number, job in enumerate(jobs, 1)}

    def work(job: Job) -> trial.Outcome | None:
        if stop.event.is_set():
            return None
        display.fit_started(numbers[id(job)], job.fit.label)
        if job.fit.fit_id in restart:
            store.discard(job.fit)
        try:
            return trial.run_job(
                job,
                load(job.fit.dataset),
                runtime,
                workdir=store.folder(job.fit),
                progress=display.fit_progress,
                stop=stop.event.is_set,
            )
        except trial.Interrupted:
            return None

    try:
        with stop.listening(display.note):
            for outcome in (executor or Serial()).run(work, jobs):
                if outcome.failure:
                    raise RuntimeError(outcome.message)
                if outcome.value is None:
                    continue
                record = outcome.value.record
                _save(store, outcome.value)
                ran, failed = ran + 1, failed + (record.state == "failed")
                display.fit_finished(_one_line(record))
                if tracker is not None:
                    tracker.send(record)
    except KeyboardInterrupt:
        stop.name = stop.name or "SIGINT"
    finally:
        display.close()
    found = [store.get(cell.job.fit) for cell in plan_.cells if cell.job]
    records = [record for record in found if record is not None]
    untracked = sum(not tracker.is_sent(record) for record in records) if tracker else 0
    return Summary(records, ran, failed, stop.name, untracked)


def _save(store: Store, outcome: trial.Outcome) -> None:
    try:
        store.save(outcome.record, outcome.artifacts)
    except OSError as error:
        raise InputError(
            f"results of {outcome.record.spec.label} cannot be written to {str(store.root)!r}: "
            f"{error.strerror or error}; make room and run the same command again"
        ) from error


def _one_line(record: Record) -> str:
    if record.failure is not None:
        return f"{record.spec.label}: FAILED ({record.failure.kind}: {record.failure.message})"
    value = record.score()
    flags = f"  [{'; '.join(record.flags)}]" if record.flags else ""
    score = "no mAP" if value is None else f"mAP {value:.4f}"
    return f"{record.spec.label}: {score} in {record.timings.total:.1f} s{flags}"
