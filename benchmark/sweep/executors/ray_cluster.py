"""Workers on a Ray cluster, or on a Ray started on this machine. Ray is imported only when one runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from benchmark.errors import InputError
from benchmark.sweep.executors.base import Later, Link, Outcome, Watch
from benchmark.sweep.executors.crew import Crew, Message
from benchmark.sweep.executors.processes import cores

T = TypeVar("T")
R = TypeVar("R")

#: Times that an item is started again after its worker was lost.
RETRIES = 3
#: Packages of this project that are sent to the machines of a cluster.
_PACKAGES = ("benchmark", "methods", "datasets")
_FORWARDED = ("BENCHMARK_CACHE", "BENCHMARK_DATA", "MLFLOW_DISABLE_TELEMETRY")
#: Ray's own switch, read when it is imported: "0" keeps a Ray of one machine on the loopback address. Without it a
#: Ray started on Linux answers on every interface, without asking who calls.
_SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
#: Seconds between two questions for a running item's progress.
_ASK_EVERY = 1.0


class RayCluster:
    """One actor for each worker, with a share of a GPU; items of lost workers are started again.

    `address` empty: a Ray on this machine that ends with the run; else a cluster's (`auto`, `host:port`,
    `ray://host:port`). The project's packages travel to a cluster's machines in the runtime environment.
    """

    def __init__(
        self,
        address: str = "",
        workers: int = 0,
        *,
        gpus_per_worker: float | None = None,
        time_limit: float | None = None,
        retries: int = RETRIES,
    ) -> None:
        """`workers` 0: as many as the cluster's GPUs or cores hold; `gpus_per_worker` None: one where it has any.

        Raises InputError when Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise InputError("executor 'ray' needs the extra `ray`: pip install 'coophash-benchmark[ray]'")
        if workers < 0 or (gpus_per_worker or 0) < 0 or (time_limit is not None and time_limit <= 0):
            raise InputError("workers, the share of a GPU and the time limit must be positive")
        self.address, self.workers = address, workers
        self.gpus_per_worker, self.time_limit, self.retries = gpus_per_worker, time_limit, retries

    def run(
        self, function: Callable[[T, Link], R], items: Iterable[T | Later], watch: Watch
    ) -> Iterator[Outcome[T, R]]:
        """Yield outcomes as they come. Raises InputError when the cluster cannot be reached."""
        if not self.address:
            os.environ.setdefault(_SEVERAL_MACHINES, "0")
        ray = importlib.import_module("ray")
        with _connected(ray, self.address, self.workers):
            found = ray.cluster_resources()
            share = self.gpus_per_worker
            share = float(found.get("GPU", 0) >= 1) if share is None else share
            count = self.workers or max(1, int(found.get("GPU", 0) / share if share else found.get("CPU", 1)))
            threads = 1 if self.address else max(1, cores() // count)
            content = ray.put(pickle.dumps(function, protocol=5))
            hand = ray.remote(importlib.import_module("benchmark.sweep.executors._actor").Hand)
            # Fits are not promised whole cores of a local machine: the number of workers says how many run.
            options = {"num_cpus": 1 if self.address else 0, "num_gpus": share}
            crew: Crew[T, R] = Crew(
                hire=lambda number: _Actor(
                    ray, hand.options(max_concurrency=3, **options).remote(content, threads)
                ),
                size=count,
                wait=lambda workers, seconds: _wait(ray, workers, seconds),
                time_limit=self.time_limit,
                retries=self.retries,
            )
            yield from crew.work(items, watch)


@contextlib.contextmanager
def _connected(ray: Any, address: str, workers: int) -> Iterator[None]:
    """A connection for the time of a run; one that was there before is used and left open."""
    if ray.is_initialized():
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if main else None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    options["runtime_env"] = _runtime_env(bool(address))
    if address:
        options["address"] = address
    else:
        options |= {"include_dashboard": False, "num_cpus": max(workers, cores())}
    try:
        ray.init(**options)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"Ray at {address or 'this machine'!r} cannot be reached: {reason}") from error
    finally:
        if main:  # Ray puts its own in place, which would end the run without saving
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _runtime_env(cluster: bool) -> dict[str, Any]:
    """What the workers need to import what the driver imports: its search path, and its own packages."""
    variables = {name: os.environ[name] for name in _FORWARDED if name in os.environ}
    path = [str(Path(entry or ".").resolve()) for entry in sys.path if not entry.endswith(".zip")]
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    if not cluster:
        return {"env_vars": variables}
    folders = [str(Path(str(importlib.import_module(name).__file__)).parent) for name in _PACKAGES]
    return {"env_vars": variables, "py_modules": folders}


def _wait(ray: Any, workers: list[_Actor], seconds: float) -> None:
    pending = [worker.task for worker in workers if worker.task is not None]
    if pending:
        ray.wait(pending, num_returns=1, timeout=seconds, fetch_local=False)
    else:
        time.sleep(seconds)


class _Actor:
    """One actor, from the driver's side."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._alive = actor.ready.remote()
        self._up = False
        self.task: Any = None
        self._question: Any = None
        self._asked = 0.0

    def ready(self) -> bool:
        """Whether the cluster has placed it. A start that failed is found out when an item is given."""
        if not self._up:
            self._up = bool(self._ray.wait([self._alive], timeout=0)[0])
        return self._up

    def assign(self, item: Any) -> None:
        """Send the item."""
        self.task = self._actor.work.remote(pickle.dumps(item, protocol=5))

    def collect(self) -> list[Message]:
        """Progress when it has arrived; the result when it is there; a `lost` when the actor died."""
        found = [Message("event", event) for event in self._progress()]
        if not self._ray.wait([self.task], timeout=0)[0]:
            return found
        try:
            found.append(Message(*pickle.loads(self._ray.get(self.task))))  # noqa: S301 - our own worker's
        except self._ray.exceptions.RayError as error:  # the item's own exceptions are values
            reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
            found.append(Message("lost", f"the Ray worker was lost ({reason})"))
        self.task = self._question = None
        return found

    def _progress(self) -> list[Any]:
        ray, now = self._ray, time.monotonic()
        if self._question is None:
            if now - self._asked >= _ASK_EVERY:
                self._question, self._asked = self._actor.events.remote(), now
            return []
        if not ray.wait([self._question], timeout=0)[0]:
            return []
        question, self._question = self._question, None
        try:
            return list(ray.get(question))
        except ray.exceptions.RayError:
            return []

    def ask_to_stop(self) -> None:
        """Tell the running item."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End the actor."""
        with contextlib.suppress(Exception):  # it may be gone already, or the whole cluster
            self._ray.kill(self._actor)
