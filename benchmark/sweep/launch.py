"""A resolved run from its configuration to its summary; who asked for it shows and prints."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.data.load import ensure
from benchmark.errors import InputError, unknown
from benchmark.files import places
from benchmark.fit.runtime import Runtime
from benchmark.spec.suites import RunConfig
from benchmark.spec.views import expand_views
from benchmark.spec.weights import task_file
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_address import default_uri
from benchmark.store.store import Store
from benchmark.sweep import driver
from benchmark.sweep import plan as planning
from benchmark.sweep.collect import Summary
from benchmark.sweep.display import Display
from benchmark.sweep.executors.choose import choose, learn_gpu_memory
from benchmark.sweep.plan import Plan
from benchmark.sweep.saved import save_sweep
from benchmark.sweep.wanted_views import sources_of

_RETRIED = ("failed", "stale", "all")


@dataclass(frozen=True)
class Launched:
    """What a run planned, what it did, and where: saved is the sweep's suite file, uri the tracker or `none`."""

    plan: Plan
    summary: Summary
    store: Store
    saved: Path
    uri: str


def launch(
    config: RunConfig,
    retry: frozenset[str],
    command: str,
    display: Callable[[], Display],
    note: Callable[[str], None] = lambda text: None,
    callbacks: Iterable[Any] = (),
) -> Launched:
    """Plan one grid and run what is not done. command: what the records name as the one that made them.

    Raises InputError, before anything runs, for a sweep of which nothing can run, and for what a key names that is
    not there.
    """
    store = Store(Path(config.results))
    data_root = places.data_root(config.data_root)
    executor, device = choose(config)
    uri = config.tracking_uri or default_uri(store.root)
    tracker = None if uri == "none" else Tracker(uri, store)
    plan = planning.plan(config.sweep, store, data_root, retry)
    if not plan.to_run and not any(planned.state in ("done", "stale", "failed") for planned in plan.fits):
        reasons = "; ".join(sorted({planned.reason for planned in plan.fits}))
        raise InputError(f"nothing in this sweep can run: {reasons}")
    weights = task_file(config.weights)
    for name in config.datasets if weights else ():
        info = registry.find("datasets", name, data_root).dataset_info
        registry.check_weights(info.task(config.bits[0], config.backbone, weights, config.preprocessing))
    learn_gpu_memory(executor, plan.to_run, store)
    for text in plan.notes:  # before anything runs; the summary says them again
        note(text)
    store.open()
    saved = save_sweep(plan, store)
    shared = {field.name for field in dataclasses.fields(Runtime)} & set(RunConfig.model_fields)
    told = {name: getattr(config, name) for name in shared} | {
        "device": device,
        "weights_file": weights,
        "inception_weights": _inception(config),
        "command": command,
        "sweep": saved.stem,
    }
    runtime = Runtime(**told)
    summary = driver.execute(plan, store, runtime, data_root, display(), tracker, executor, callbacks)
    return Launched(plan, summary, store, saved, uri)


def retries_of(given: Iterable[str]) -> frozenset[str]:
    """What is to run again: `failed`, `stale`, `all`, or several joined by commas. Raises InputError for others."""
    wanted = [part.strip() for text in given for part in text.split(",") if part.strip()]
    for name in wanted:
        if name not in _RETRIED:
            raise unknown("--retry", name, _RETRIED)
    return frozenset(wanted)


def ensure_data(configs: tuple[RunConfig, ...]) -> None:
    """Download what can be downloaded. Raises InputError naming every data set that is not there."""
    wanted: dict[tuple[str, str], None] = {}
    for config in configs:
        root = places.data_root(config.data_root)
        wanted |= dict.fromkeys((config.data_root, name) for name in config.datasets)
        wanted |= dict.fromkeys((config.data_root, name) for name in _other_sets(config, root))
    missing, there = dict[str, None](), []
    for folder, name in wanted:
        root = places.data_root(folder)
        dataset = registry.dataset(name, root)
        try:
            ensure(dataset, root, given=bool(folder or os.environ.get("BENCHMARK_DATA")))
            there.append(name)
        except InputError as error:
            missing[str(error)] = None
    if missing:
        left = f"; without them: --datasets {','.join(dict.fromkeys(there))}" if there else ""
        raise InputError("; ".join(missing) + left)


def _other_sets(config: RunConfig, data_root: Path | None) -> tuple[str, ...]:
    """The data sets that the views read, each known to exist."""
    names = sources_of(expand_views(config.views))
    for name in names:
        registry.find("datasets", name, data_root)
    return names


def _inception(config: RunConfig) -> str:
    """The absolute path of Inception's weights, tried before the run begins; empty when FID is not asked for."""
    if not config.inception_weights or "fd" not in config.curve_metrics:
        return ""
    from benchmark.fit.curves.inception import check_inception

    path = Path(config.inception_weights).resolve()
    check_inception(path)
    return str(path)
