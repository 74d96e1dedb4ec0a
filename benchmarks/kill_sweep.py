"""SIGKILL a sweep at random moments, continue it each time, and compare the end with an undisturbed sweep.

    python benchmarks/kill_sweep.py --kills 40 --executor serial

The driver is killed between its start and a few seconds into its fits: while it imports, plans, trains, writes a
training state, a record, MLflow. Every record that is there after a kill must be whole and must stay untouched;
at the end every fit's codes must equal the undisturbed sweep's, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmark.records import Store
from benchmark.status import collect

#: Twelve fits: gradient training with training states every half second, and closed forms.
SWEEP = ["--methods", "hashnet,dpsh,itq", "--bits", "8,16", "--seeds", "0,1", "--device", "cpu"]


class Broken(AssertionError):
    """The store is not what it must be."""


def command(results: Path, *extra: str) -> list[str]:
    fixed = ["--curve-points", "1", "--checkpoint-seconds", "0.5", "--results", str(results)]
    return [sys.executable, "-m", "benchmark", "run", *SWEEP, *fixed, *extra]


def stamps(results: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in results.glob("*/*/*/record.json")}


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


def kill_once(arguments: list[str], log: Path, delay: float, from_start: bool) -> bool:
    """Start a driver and kill it `delay` seconds after its launch or its first fit; False when it was done."""
    with log.open("ab") as file:
        begin = file.tell()
        process = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT)
    while not from_start and process.poll() is None and b"started" not in log.read_bytes()[begin:]:
        time.sleep(0.02)
    deadline = time.monotonic() + delay
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return True


def finish(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"an undisturbed run ended with {done.returncode}: {done.stderr[-500:]}")


def torture(folder: Path, kills: int, seed: int, extra: tuple[str, ...], window: float) -> dict[str, int]:
    """Kill `kills` times, finish, check; the counts of what happened. Raises Broken."""
    undisturbed, tortured, log = folder / "undisturbed", folder / "tortured", folder / "log.txt"
    finish(command(undisturbed, *extra))
    choose, seen, counts = random.Random(seed), dict[Path, int](), Counter[str]()
    while counts["kills"] < kills:
        from_start = choose.random() < 0.2
        delay = choose.uniform(0, 8 if from_start else window)
        if not kill_once(command(tortured, *extra), log, delay, from_start):
            counts["ended before the kill"] += 1
            if counts["ended before the kill"] > 3:
                raise Broken(f"the sweep was finished after {counts['kills']} kills: use a smaller window")
        else:
            counts["kills"] += 1
        now = stamps(tortured)
        if collect(tortured)["unreadable"] if tortured.is_dir() else False:
            raise Broken("a record is unreadable")
        if any(now.get(path) != stamp for path, stamp in seen.items()):
            raise Broken("a finished record was lost or written again")
        counts["kills that left a training state"] += any(tortured.rglob("checkpoint.pt"))
        seen = now
        print(f"kill {counts['kills']}: {len(seen)} fits finished", flush=True)
    finish(command(tortured, *extra))
    if any(stamps(tortured)[path] != stamp for path, stamp in seen.items()):
        raise Broken("a finished record was written again")
    leftovers = [*tortured.rglob("checkpoint.pt"), *tortured.glob("*/*/*/.*.tmp")]
    leftovers += [*tortured.glob("claims/*.json")]
    if leftovers:
        raise Broken(f"left behind: {leftovers}")
    return {**counts, "fits": compare(undisturbed, tortured)}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", default="serial", choices=["serial", "processes"])
    parser.add_argument("--epochs", default="30")
    parser.add_argument("--window", type=float, default=8.0, help="seconds into the fits")
    given = parser.parse_args()
    extra = ("--epochs", given.epochs, "--executor", given.executor)
    extra += ("--workers", "2") if given.executor == "processes" else ()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = torture(Path(folder), given.kills, given.seed, extra, given.window)
    print(f"{counts}: equal to the undisturbed sweep, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
