"""SIGKILL a sweep at random moments, continue it each time, and compare the end with an undisturbed sweep.

    python benchmarks/kill_sweep.py --kills 40
    python benchmarks/kill_sweep.py --kills 40 --executor processes

The kills are spread over the whole sweep: each waits until its share of the fits is finished, then for a moment of
a kind drawn at random (`MOMENTS`). With worker processes the driver dies together with its workers, or a worker
alone. Every record that is there after a kill must be whole and must stay untouched; at the end every fit's codes
must equal the undisturbed sweep's, bit for bit, and MLflow must hold one finished run for each fit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.store.mlflow_address import default_uri
from benchmark.store.mlflow_experiment import EXPERIMENT
from benchmark.store.store import Store
from benchmark.sweep.status import collect

#: Twenty-four fits: gradient training with training states every half second, and closed forms between them.
SWEEP = ["--methods", "hashnet,itq,dpsh", "--bits", "8,16", "--seeds", "0,1,2,3", "--device", "cpu"]
#: Kinds of moments and how often each is drawn: while the driver starts; somewhere in the fits; when a claim is
#: taken; while a result's files are written; just after a record, while MLflow is written; a worker alone.
MOMENTS = {"start": 3, "fits": 6, "claim": 2, "record": 5, "mlflow": 4}
WORKER = {"worker": 6}
#: Seconds that a moment is waited for before the kill comes anyway.
PATIENCE = 60.0


class Broken(AssertionError):
    """The store is not what it must be."""


def command(results: Path, *extra: str) -> list[str]:
    fixed = ["--curve-points", "1", "--checkpoint-seconds", "0.5", "--results", str(results)]
    return [sys.executable, "-m", "benchmark", "run", *SWEEP, *fixed, "--retry", "failed", *extra]


def finish(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"an undisturbed run ended with {done.returncode}: {done.stderr[-500:]}")


def finished(results: Path) -> dict[Path, int]:
    """The records of finished fits and when each was written; a lost worker's failed ones are not among them."""
    found = {}
    for path in results.glob("*/*/*b-*-s*-*/record.json"):  # MLflow keeps copies elsewhere below
        with contextlib.suppress(OSError):
            content = json.loads(path.read_bytes())
            if content["state"] == "done":
                found[path] = path.stat().st_mtime_ns
    return found


def compare(undisturbed: Path, tortured: Path) -> int:
    """How many fits both hold with equal codes and scores; raises Broken for any difference."""
    left, right = Store(undisturbed), Store(tortured)
    records = {record.fit_id: record for record in left.records()}
    others = {record.fit_id: record for record in right.records()}
    if records.keys() != others.keys():
        raise Broken(f"{len(records)} fits undisturbed, {len(others)} after the kills")
    for fit_id, record in records.items():
        a, b = left.codes(record.spec), right.codes(record.spec)
        if a.keys() != b.keys() or not all(np.array_equal(a[key], b[key]) for key in a):
            raise Broken(f"codes of {record.spec.label} differ")
        if record.scores != others[fit_id].scores or others[fit_id].state != "done":
            raise Broken(f"scores of {record.spec.label} differ")
    return len(records)


def check_tracker(results: Path, fits: int) -> None:
    """One finished run in MLflow for each fit, and no other."""
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(results))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'fit'")
    count = Counter(run.data.tags["fit_id"] for run in runs)
    if len(count) != fits or set(count.values()) != {1} or {run.info.status for run in runs} != {"FINISHED"}:
        raise Broken(f"MLflow holds {sum(count.values())} runs of {len(count)} fits")


class Torture:
    """One sweep, killed again and again."""

    def __init__(self, folder: Path, kills: int, seed: int, extra: tuple[str, ...], fits: int) -> None:
        self.results, self.log = folder / "tortured", folder / "log.txt"
        self.kills, self.choose, self.fits = kills, random.Random(seed), fits
        self.arguments = command(self.results, *extra)
        self.moments = MOMENTS | (WORKER if "processes" in extra else {})
        self.driver: subprocess.Popen[bytes] | None = None
        self.begin = 0  # of this driver's lines in the log
        self.seen: dict[Path, int] = {}
        self.counts: Counter[str] = Counter()

    def go(self, fit_seconds: float) -> None:
        """Kill as often as asked for; raises Broken. No driver is left running."""
        try:
            self._all(fit_seconds)
        finally:
            if self.driver is not None:
                self._end(family(self.driver.pid))

    def _all(self, fit_seconds: float) -> None:
        for number in range(self.kills):
            # The last fit is never waited for: something is left to kill.
            share = number * (self.fits - 1) // self.kills
            kind = self.choose.choices([*self.moments], [*self.moments.values()])[0]
            while not self._kill(kind, share, fit_seconds):
                self.counts["ended before the kill"] += 1
                if self.counts["ended before the kill"] > 3:
                    raise Broken(f"the sweep was finished after {number} kills: use more epochs")
            self.counts[kind] += 1
            self._check()
            print(f"kill {number + 1} ({kind}): {len(self.seen)} fits finished", flush=True)

    def _kill(self, kind: str, share: int, fit_seconds: float) -> bool:
        """Wait for the moment and kill; False when the driver was done before."""
        if self.driver is None:
            with self.log.open("ab") as file:
                self.begin = file.tell()
                self.driver = subprocess.Popen(self.arguments, stdout=file, stderr=subprocess.STDOUT)
            self.counts["drivers started"] += 1
        if kind != "start":
            self._wait(lambda: self._running() and len(finished(self.results)) >= share, 10 * PATIENCE)
            self._await_moment(kind, fit_seconds)
        else:
            self._wait(lambda: False, self.choose.uniform(0, 6))
        workers = family(self.driver.pid)[1:]
        if self.driver.poll() is not None:
            self.driver = None
            return False
        if kind == "worker":
            if workers:
                os.kill(self.choose.choice(workers), signal.SIGKILL)
            return bool(workers)
        self._end([self.driver.pid, *workers])
        return True

    def _await_moment(self, kind: str, fit_seconds: float) -> None:
        before, claims = finished(self.results), self._claims()
        if kind == "worker" and self.driver is not None:
            driver = self.driver.pid
            self._wait(lambda: len(family(driver)) > 1, PATIENCE)
        if kind == "claim":
            self._wait(lambda: bool(self._claims() - claims), PATIENCE)
        elif kind == "record":
            self._wait(lambda: any(self.results.glob("*/*/*/.*.tmp")), PATIENCE)
        elif kind == "mlflow":
            self._wait(lambda: len(finished(self.results)) > len(before), PATIENCE)
            self._wait(lambda: False, self.choose.uniform(0, 0.3))
        else:
            self._wait(lambda: False, self.choose.uniform(0, 1.5 * fit_seconds))

    def _wait(self, happened: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.driver is not None and self.driver.poll() is None and time.monotonic() < deadline:
            if happened():
                return
            time.sleep(0.002)

    def _running(self) -> bool:
        """Whether this driver has begun a fit: what a killed one claimed does not count."""
        return b"started" in self.log.read_bytes()[self.begin :]

    def _claims(self) -> set[str]:
        return {path.name for path in self.results.glob("claims/*.json")}

    def _end(self, pids: list[int]) -> None:
        """The driver and its workers at once, as when the power goes."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.driver is not None:
            self.driver.wait()
        self.driver = None

    def _check(self) -> None:
        now = finished(self.results)
        if self.results.is_dir() and collect(self.results)["unreadable"]:
            raise Broken("a record is unreadable")
        if any(now.get(path) != stamp for path, stamp in self.seen.items()):
            raise Broken("a finished record was lost or written again")
        self.counts["training state left"] += any(self.results.rglob("checkpoint.pt"))
        self.counts["half-written file left"] += any(self.results.glob("*/*/*/.*.tmp"))
        self.seen = now


def family(pid: int) -> list[int]:
    """A driver and its worker processes."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        workers = [
            int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
        ]
    except OSError:
        return [pid]
    return [pid, *workers]


def torture(folder: Path, kills: int, seed: int, extra: tuple[str, ...]) -> Counter[str]:
    """Kill `kills` times, finish, check; counts of what happened. Raises Broken."""
    undisturbed = folder / "undisturbed"
    finish(command(undisturbed, *extra))
    seconds = [record.timings.total for record in Store(undisturbed).records()]
    print(f"undisturbed: {len(seconds)} fits of {np.mean(seconds):.1f} s", flush=True)
    run = Torture(folder, kills, seed, extra, len(seconds))
    run.go(float(np.mean(seconds)))
    finish(run.arguments)
    now = finished(run.results)
    if any(now.get(path) != stamp for path, stamp in run.seen.items()):
        raise Broken("a finished record was written again")
    leftovers = [*run.results.rglob("checkpoint.pt"), *run.results.glob("*/*/*/.*.tmp")]
    leftovers += [*run.results.glob("claims/*.json")]
    if leftovers:
        raise Broken(f"left behind: {leftovers}")
    run.counts["fits equal"] = compare(undisturbed, run.results)
    if "none" not in extra:
        check_tracker(run.results, len(seconds))
    return run.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", default="serial", choices=["serial", "processes"])
    parser.add_argument("--epochs", default="20")
    given = parser.parse_args()
    extra: tuple[str, ...] = ("--epochs", given.epochs, "--executor", given.executor)
    extra += ("--workers", "2") if given.executor == "processes" else ()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = torture(Path(folder), given.kills, given.seed, extra)
    print(f"{dict(counts)}: equal to the undisturbed sweep, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
