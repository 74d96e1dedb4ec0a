"""How long a report takes: `report` over many records in a fresh process, and its page in headless Chromium.

python benchmarks/report_speed.py                            # 1,000 records made here; a page of 10,000
python benchmarks/report_speed.py --records 200 --no-page --profile

The records are copies of one real fit on digits under other methods, code lengths, seeds and data sets, each with
its scores, codes (some bits flipped) and curve. The page needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmark import registry
from benchmark.fit.runtime import Runtime
from benchmark.spec import Sweep
from benchmark.store.record import Artifacts, Record
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.driver import execute
from benchmark.sweep.executors import Serial

METHODS = (
    "coophash",
    "hashnet",
    "csq",
    "dpsh",
    "itq",
    "lsh",
    "hashgan",
    "coophash-nll",
    "coophash-hash-only",
    "dhn",
)
#: Data set, protocol: the protocols keep the groups apart, as those of several data sets would be.
DATASETS = (
    ("digits", "digits-20-50"),
    ("mnist", "mnist-69k"),
    ("cifar10", "cifar10-59k"),
    ("cifar10-jpeg", "cifar10-59k"),
)
BITS = (16, 32, 48, 64, 128)
PAGE_RECORDS, LOADS = 10_000, 7


def template(folder: Path) -> tuple[Record, dict[str, np.ndarray]]:
    """A real fit: its record and its codes."""
    store = Store(folder)
    sweep = Sweep(methods=("hashnet",), bits=(32,), epochs=2)
    plan = planning.plan(sweep, store, None)
    store.open()
    runtime = Runtime(device="cpu", curve_points=5)
    (record,) = execute(plan, store, runtime, None, Lines(), None, Serial()).records
    return record, store.codes(record.spec)


def fill(folder: Path, like: Record, codes: dict[str, np.ndarray], count: int, datasets: int) -> None:
    """Write `count` records with codes; seeds are added until there are enough."""
    store, rng = Store(folder), np.random.default_rng(0)
    store.open()
    defaults = {name: registry.find("methods", name) for name in METHODS}
    cells = (
        (seed, *rest)
        for seed in itertools.count()
        for rest in itertools.product(METHODS, DATASETS[:datasets], BITS)
    )
    for seed, method, (dataset, rule), bits in itertools.islice(cells, count):
        entry = defaults[method]
        gradient = entry.info["trained_by"] == "updates"
        spec = like.spec.model_copy(
            update={
                "method": method,
                "method_version": entry.info["version"],
                "params": entry.defaults,
                "dataset": dataset,
                "protocol": rule,
                "bits": bits,
                "seed": seed,
                "epochs": like.spec.epochs if gradient else None,
                "batch_size": like.spec.batch_size if gradient else None,
            }
        )
        scores = tuple(
            one.model_copy(update={"value": float(np.clip(one.value + rng.normal(0, 0.02), 0, 1))})
            for one in like.scores
        )
        record = like.model_copy(
            update={"spec": spec, "fit_id": spec.fit_id, "scores": scores, "source_digest": entry.digest}
        )
        store.save(record, Artifacts(codes=_codes(codes, bits, rng)))


def _codes(like: dict[str, np.ndarray], bits: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The codes at another length, a tenth of their bits flipped."""
    found = dict(like)
    for name in ("query_codes", "database_codes"):
        wide = np.tile(np.unpackbits(like[name], axis=1), (1, 4))[:, :bits]
        found[name] = np.packbits(wide ^ (rng.random(wide.shape) < 0.1), axis=1)
    return found | {"bits": np.array(bits)}


def time_report(folder: Path, out: Path, *, profile: bool) -> None:
    """Wall and processor seconds of the command, imports included; several threads where numpy takes them."""
    module = ["-m", "cProfile", "-s", "cumtime", "-m"] if profile else ["-m"]
    command = [sys.executable, *module, "benchmark", "report", "--results", str(folder), "--out", str(out)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if profile:
        lines = [line for line in done.stdout.splitlines() if not line.startswith(str(out))]
        print("\n".join(lines[:80]))
    files = [*out.iterdir()]
    print(
        f"report: {wall:.1f} s wall, {cpu:.1f} s processor, {len(files)} files, load {os.getloadavg()[0]:.1f}"
    )


def time_page(folder: Path, like: Record) -> None:
    """Milliseconds from navigation to the first rows of a page of `PAGE_RECORDS`, median of `LOADS`."""
    from playwright.sync_api import sync_playwright

    from benchmark.report.context import Context
    from benchmark.report.page import page_html

    specs = [like.spec.model_copy(update={"seed": n // 4, "bits": BITS[n % 4]}) for n in range(PAGE_RECORDS)]
    records = [like.model_copy(update={"spec": spec, "fit_id": spec.fit_id}) for spec in specs]
    file = folder / "page.html"
    file.write_text(page_html(Context(Store(folder), records, set()), [], {}))
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        times = []
        for _ in range(LOADS):
            page = browser.new_page()
            began = time.monotonic()
            page.goto(file.as_uri())
            page.wait_for_function("document.querySelectorAll('#all-records tbody tr').length > 0")
            times.append(time.monotonic() - began)
            page.close()
        browser.close()
    size = file.stat().st_size / 1e6
    print(f"page of {PAGE_RECORDS:,} records ({size:.1f} MB): {statistics.median(times):.2f} s, {times}")


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument(
        "--datasets", type=int, default=len(DATASETS), help="data sets among the records, 1 to 4"
    )
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        record, codes = template(place / "template")
        fill(place / "many", record, codes, given.records, given.datasets)
        time_report(place / "many", place / "report", profile=given.profile)
        if not given.no_page:
            time_page(place, record)


if __name__ == "__main__":
    main()
