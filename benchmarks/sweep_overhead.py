"""What the harness costs beside training: per fit, per plan, per status; and what a second worker gains.

python benchmarks/sweep_overhead.py            # overhead, plans and status
python benchmarks/sweep_overhead.py --workers  # one worker against two, on a machine with nothing else to do
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import resource
import tempfile
import time
from pathlib import Path

from benchmark.fit.runtime import Runtime
from benchmark.spec import Sweep
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_address import default_uri
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.sweep import driver
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.executors import LocalProcesses
from benchmark.sweep.status import collect


def run(
    results: Path, sweep: Sweep, executor: LocalProcesses | None = None, track: bool = False
) -> list[Record]:
    store = Store(results)
    plan = planning.plan(sweep, store, None)
    store.open()
    tracker = Tracker(default_uri(results), store) if track else None
    with contextlib.redirect_stderr(io.StringIO()):
        summary = driver.execute(plan, store, Runtime(curve_points=1), None, Lines(), tracker, executor)
    return summary.records


def per_fit(folder: Path) -> None:
    """Wall time of small fits in one process, with MLflow, less what their records say they took."""
    run(folder / "warm", Sweep(methods=("lsh",), bits=(8,)), track=True)  # imports, compiled kernels
    began = time.monotonic()
    records = run(folder / "fits", Sweep(methods=("lsh",), bits=(16, 32), seeds=tuple(range(10))), track=True)
    seconds = time.monotonic() - began - sum(record.timings.total for record in records)
    print(f"harness, records and MLflow: {seconds / len(records):.3f} s a fit over {len(records)} fits")


def many(folder: Path) -> None:
    """Ten thousand cells: planned with an empty store, listed, and planned again with every record there."""
    sweep = Sweep(methods=("lsh", "itq"), bits=(8, 16, 32, 64, 128), seeds=tuple(range(1000)))
    store = Store(folder / "many")
    template = run(folder / "one", Sweep(methods=("lsh",), bits=(8,)))[0]
    began = time.monotonic()
    plan = planning.plan(sweep, store, None)
    print(f"planning {len(plan.fits):,} jobs: {time.monotonic() - began:.2f} s")
    for cell in plan.fits:
        if cell.fit:
            spec = cell.fit
            path = store.folder(spec) / "record.json"
            path.parent.mkdir(parents=True)
            record = template.model_copy(update={"spec": spec, "fit_id": spec.fit_id})
            path.write_text(record.model_dump_json(indent=1))
    for what in ("first", "second"):
        began = time.monotonic()
        found = sum(collect(store.root)["counts"].values())
        print(f"status of {found:,} records, {what} time: {time.monotonic() - began:.2f} s")
    began = time.monotonic()
    planning.plan(sweep, store, None)
    print(f"planning with all {found:,} records there: {time.monotonic() - began:.2f} s")


def workers(folder: Path, repeats: int, epochs: int) -> None:
    """The same fits by one worker process and by two, in turns; the best turn of each counts.

    Processor seconds stand beside wall time: a machine that does other work stretches the wall time alone, two
    workers that get in each other's way raise the processor seconds of a fit.
    """
    sweep = Sweep(methods=("hashnet",), bits=(16, 32), seeds=tuple(range(6)), epochs=epochs)
    before = _children()
    run(folder / "start", Sweep(methods=("lsh",), bits=(8,)), LocalProcesses(1, threads=1))
    start = _children() - before
    print(f"starting a worker and loading its data: {start:.1f} processor s, left out below", flush=True)
    best: dict[int, float] = {}
    spent: dict[int, list[float]] = {1: [], 2: []}
    for turn, count in itertools.product(range(repeats), (1, 2)):
        began, before = time.monotonic(), _children()
        records = run(folder / f"{turn}-{count}", sweep, LocalProcesses(count, threads=1))
        seconds, cpu = time.monotonic() - began, _children() - before
        threads = {record.environment.threads for record in records if record.environment}
        if threads != {1} or any(record.failure for record in records):
            raise SystemExit(
                f"{count} workers: threads {threads}, failed fits or more threads than asked for"
            )
        cpu -= count * start
        best[count] = min(seconds, best.get(count, seconds))
        spent[count].append(cpu / len(records))
        print(
            f"turn {turn + 1}, {count} worker(s): {len(records)} fits in {seconds:.1f} s, "
            f"{3600 * len(records) / seconds:,.0f} an hour; {spent[count][-1]:.2f} processor s a fit",
            flush=True,
        )
    print(f"two workers do {best[1] / best[2]:.2f} times the fits of one an hour (best turns)")
    slower = min(spent[2]) / min(spent[1])
    print(
        f"a fit beside another takes {slower:.2f} times the processor seconds of one alone: "
        f"two idle cores would give {2 / slower:.2f} times"
    )


def _children() -> float:
    """Processor seconds of all worker processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--workers", action="store_true", help="one worker against two")
    parser.add_argument("--repeats", type=int, default=3, help="turns of one worker and of two")
    parser.add_argument("--epochs", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.workers:
            workers(Path(folder), given.repeats, given.epochs)
        else:
            per_fit(Path(folder))
            many(Path(folder))


if __name__ == "__main__":
    main()
