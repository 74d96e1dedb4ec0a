"""What the harness costs beside training: per fit, per plan, per status; and what a second worker gains.

python benchmarks/sweep_overhead.py            # overhead, plans and status
python benchmarks/sweep_overhead.py --workers  # one worker against two, on a machine with nothing else to do
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

from benchmark import runner
from benchmark.executors import LocalProcesses
from benchmark.progress import Lines
from benchmark.records import Record, Store
from benchmark.spec import Sweep
from benchmark.status import collect
from benchmark.tracking import Tracker, default_uri
from benchmark.watch import Runtime


def run(
    results: Path, sweep: Sweep, executor: LocalProcesses | None = None, track: bool = False
) -> list[Record]:
    store = Store(results)
    plan = runner.plan(sweep, store, None)
    store.open()
    tracker = Tracker(default_uri(results), store) if track else None
    with contextlib.redirect_stderr(io.StringIO()):
        summary = runner.execute(plan, store, Runtime(curve_points=1), None, Lines(), tracker, executor)
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
    plan = runner.plan(sweep, store, None)
    print(f"planning {len(plan.cells):,} jobs: {time.monotonic() - began:.2f} s")
    for cell in plan.cells:
        if cell.job:
            spec = cell.job.fit
            path = store.folder(spec) / "record.json"
            path.parent.mkdir(parents=True)
            record = template.model_copy(update={"spec": spec, "fit_id": spec.fit_id})
            path.write_text(record.model_dump_json(indent=1))
    for what in ("first", "second"):
        began = time.monotonic()
        found = sum(collect(store.root)["counts"].values())
        print(f"status of {found:,} records, {what} time: {time.monotonic() - began:.2f} s")
    began = time.monotonic()
    runner.plan(sweep, store, None)
    print(f"planning with all {found:,} records there: {time.monotonic() - began:.2f} s")


def workers(folder: Path) -> None:
    """The same fits by one worker process and by two."""
    sweep = Sweep(methods=("hashnet",), bits=(16, 32), seeds=tuple(range(6)), epochs=10)
    seconds = {}
    for count in (1, 2):
        began = time.monotonic()
        fits = len(run(folder / str(count), sweep, LocalProcesses(count, threads=1)))
        seconds[count] = time.monotonic() - began
        print(
            f"{count} workers: {fits} fits in {seconds[count]:.1f} s, {3600 * fits / seconds[count]:,.0f} an hour"
        )
    print(f"two workers do {seconds[1] / seconds[2]:.2f} times the fits of one")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--workers", action="store_true", help="one worker against two")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.workers:
            workers(Path(folder))
        else:
            per_fit(Path(folder))
            many(Path(folder))


if __name__ == "__main__":
    main()
