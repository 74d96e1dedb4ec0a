"""Spawned worker processes on this machine."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from benchmark.errors import InputError
from benchmark.sweep.executors import _child, memory
from benchmark.sweep.executors.base import Later, Link, Outcome, Watch
from benchmark.sweep.executors.crew import GRACE, Crew, Message

T = TypeVar("T")
R = TypeVar("R")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Memory that a fit is taken to need until one has been measured, in MiB.
FIRST_GUESS_MIB = 1024.0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalProcesses:
    """Spawned workers that each run one item at a time.

    Every worker gets its share of the cores as threads, and, with `gpus`, one of them (several workers may share
    one): both are set in its environment before it imports anything. A worker that dies costs its item, which
    becomes *lost*; an item over `time_limit` seconds is killed. The next item waits while less memory is
    free than the largest item so far needed. With `gpu_memory`, MiB that an item needs on its GPU, no GPU gets more
    workers than fit into what is free there when the run begins, and each at least one.
    """

    def __init__(
        self,
        workers: int = 0,
        *,
        gpus: Sequence[int] = (),
        time_limit: float | None = None,
        threads: int = 0,
        grace: float = GRACE,
        gpu_memory: float | None = None,
    ) -> None:
        """`workers` 0: one for each GPU, else one for each core. Raises InputError for numbers below these."""
        if workers < 0 or threads < 0 or (time_limit is not None and time_limit <= 0):
            raise InputError("workers, threads and the time limit must be positive")
        self.workers = workers or len(gpus) or cores()
        self.gpus, self.time_limit, self.gpu_memory = tuple(gpus), time_limit, gpu_memory
        self.threads = threads or self._share_of_cores()
        self._grace = grace
        self._need_mib = FIRST_GUESS_MIB

    def run(
        self, function: Callable[[T, Link], R], items: Iterable[T | Later], watch: Watch
    ) -> Iterator[Outcome[T, R]]:
        """Yield outcomes as they come. `function`, items and values must be picklable."""
        content = pickle.dumps(function, protocol=5)
        places = self._places(watch.note)
        crew: Crew[T, R] = Crew(
            hire=lambda number: _Process(content, self.environment(number, places), self._measure),
            size=len(places) or self.workers,
            wait=_wait,
            time_limit=self.time_limit,
            admits=self._admits,
            grace=self._grace,
        )
        return crew.work(items, watch)

    def environment(self, number: int, places: Sequence[int] = ()) -> dict[str, str]:
        """The variables that worker `number` starts with. places: the GPU of each worker, by default in turn."""
        found = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        if self.gpus:
            turn = places or self.gpus
            found["CUDA_VISIBLE_DEVICES"] = _named(turn[number % len(turn)])
        return found

    def _places(self, note: Callable[[str], None]) -> list[int]:
        """The GPU of each worker, in turn, as many on each as its memory holds; empty without GPUs."""
        wanted = [self.gpus[number % len(self.gpus)] for number in range(self.workers)] if self.gpus else []
        room = dict[int, float]()
        for gpu in dict.fromkeys(wanted):
            free = memory.gpu_free_mib(_named(gpu)) if self.gpu_memory else None
            room[gpu] = (
                max(1.0, free // self.gpu_memory) if free is not None and self.gpu_memory else math.inf
            )
            asked = wanted.count(gpu)
            if asked > room[gpu]:
                text = f"GPU {gpu}: {free:,.0f} MiB free, {self.gpu_memory:,.0f} MiB a fit"
                note(f"{text}: {room[gpu]:.0f} workers instead of {asked}")
        kept = list[int]()
        for gpu in wanted:
            if kept.count(gpu) < room[gpu]:
                kept.append(gpu)
        return kept

    def _share_of_cores(self) -> int:
        share = max(1, cores() // self.workers)
        given = os.environ.get("OMP_NUM_THREADS", "")
        return min(share, int(given)) if given.isdigit() and int(given) else share

    def _measure(self, pid: int) -> None:
        self._need_mib = max(self._need_mib, memory.peak_mib(pid) or 0.0)

    def _admits(self, running: int) -> bool:
        free = memory.available_mib()
        return free is None or free >= self._need_mib


def _named(gpu: int) -> str:
    """What CUDA knows a GPU by, of those that this process sees."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if visible and gpu >= len(visible):
        raise InputError(f"GPU {gpu} is not among CUDA_VISIBLE_DEVICES={','.join(visible)}")
    return visible[gpu] if visible else str(gpu)


def _wait(workers: list[_Process], seconds: float) -> None:
    handles = [handle for worker in workers for handle in worker.handles()]
    if handles:
        wait(handles, seconds)
    else:
        time.sleep(seconds)


class _Process:
    """One spawned process and its pipe. Started when its first item comes."""

    def __init__(self, function: bytes, environment: dict[str, str], measure: Callable[[int], None]) -> None:
        self._function, self._environment, self._measure = function, environment, measure
        self._process: Any = None
        self._pipe: Connection | None = None

    def handles(self) -> list[Any]:
        """What becomes ready when it says something or dies."""
        return [] if self._pipe is None else [self._pipe, self._process.sentinel]

    def ready(self) -> bool:
        """Always: a process needs no resources that others hold."""
        return True

    def assign(self, item: Any) -> None:
        """Send the item, to a fresh process when the last one is gone."""
        if self._process is None or not self._process.is_alive():
            self.kill()
            self._start()
        self._send(pickle.dumps(item, protocol=5))

    def collect(self) -> list[Message]:
        """Read what is there; a dead process ends with a `lost`."""
        found: list[Message] = []
        pipe, process = self._pipe, self._process
        if pipe is None:
            return [Message("lost", "the worker process is gone")]
        dead = not process.is_alive()  # asked first: what it said before it died is still in the pipe
        try:
            while pipe.poll():
                found.append(Message(*pipe.recv()))
                if found[-1].kind in ("value", "error"):
                    self._measure(process.pid)
                    return found
        except (EOFError, OSError):
            dead = True
        if dead:
            process.join(5)
            found.append(Message("lost", f"the worker process died ({_exit(process.exitcode)})"))
        return found

    def ask_to_stop(self) -> None:
        """Tell the running item."""
        self._send(b"stop")

    def kill(self) -> None:
        """End the process and what it started."""
        if self._process is not None:
            if self._process.is_alive() and hasattr(os, "killpg"):
                with contextlib.suppress(OSError):
                    if os.getpgid(self._process.pid) == self._process.pid:  # it leads a group of its own
                        os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.join(10)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_child.main, args=(theirs,))
        with _blocked_interrupts(), _variables(self._environment):
            process.start()
        theirs.close()  # or its end would stay open here, and its death would go unnoticed
        self._process = process
        self._send(self._function)

    def _send(self, content: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # `collect` says that it is gone
            if self._pipe is not None:
                self._pipe.send_bytes(content)


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """A process started meanwhile is born with these: one that set them itself would be late, for a spawned
    process first imports the script that the driver was started from, and that may import torch.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """A process started meanwhile begins with SIGINT blocked, until it has left the terminal's group."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in {*signal.Signals} else str(-code)
        hint = "; often the system, short of memory" if name == "SIGKILL" else ""
        return f"signal {name}{hint}"
    return f"exit code {code}"
