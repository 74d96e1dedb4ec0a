"""Sweeps over every executor, by two drivers, under kills, losses, limits and full disks."""

from __future__ import annotations

import errno
import importlib.util
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.fit.runtime import Runtime
from benchmark.store.store import Store
from benchmark.sweep import collect as runner
from benchmark.sweep import driver as sweep_driver
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.executors import LocalProcesses, RayCluster, crew
from benchmark.sweep.status import collect
from tests.helpers import execute, method_source, sweep
from tests.programs import DieAt, Held, Program, wait_until

Plugin = Callable[..., Path]
Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
TWELVE = {"methods": ("hashnet", "itq", "lsh"), "bits": (8, 16), "seeds": (0, 1), "epochs": 1}
ray_only = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"
)


def run(results: Path, executor: Any, retry: frozenset[str] = frozenset(), **changes: Any) -> runner.Summary:
    store = Store(results)
    plan = planning.plan(sweep(**changes), store, None, retry)
    store.open()
    runtime = Runtime(curve_points=1, checkpoint_seconds=0)
    return sweep_driver.execute(plan, store, runtime, None, Lines(every=1e9), executor=executor)


def same_results(left: Path, right: Path) -> int:
    """The number of fits that both folders hold, codes bit for bit and scores equal."""
    one, two = Store(left), Store(right)
    records = [*one.records()]
    assert [r.fit_id for r in records] == [r.fit_id for r in two.records()]
    for record in records:
        other = two.get(record.spec)
        assert other is not None
        assert other.scores == record.scores
        assert other.model_dump(include={"spec", "state", "protocol", "updates", "flags", "health"}) == (
            record.model_dump(include={"spec", "state", "protocol", "updates", "flags", "health"})
        )
        a, b = one.codes(record.spec), two.codes(record.spec)
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[key], b[key]) for key in a)
    return len(records)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twelve fits, one after the other in this process."""
    root = tmp_path_factory.mktemp("serial")
    assert execute(root, **TWELVE)[1].ran == 12
    return root


@pytest.mark.slow
def test_processes_give_the_records_of_a_serial_run(serial: Path, tmp_path: Path) -> None:
    summary = run(tmp_path, LocalProcesses(2), **TWELVE)
    assert (summary.ran, summary.failed) == (12, 0)
    assert same_results(serial, tmp_path) == 12


#: Dies in its first fit, wherever it runs: whichever process makes the marker, and no second one beside it.
MORTAL = """import contextlib, os
            with contextlib.suppress(FileExistsError):
                os.close(os.open({marker!r}, os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), 9)"""


@ray_only
@pytest.mark.slow
def test_ray_gives_the_records_of_a_serial_run_and_a_killed_worker_costs_a_retry(
    serial: Path, tmp_path: Path, plugin: Plugin, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "died"
    plugin("mortal", method_source("mortal", fit=MORTAL.format(marker=str(marker))))
    changes = {**TWELVE, "methods": (*TWELVE["methods"], "mortal")}
    summary = run(tmp_path / "runs", RayCluster(workers=2), **changes)
    assert (summary.ran, summary.failed) == (16, 0)
    assert marker.exists()
    assert capsys.readouterr().err.count("trying again") == 1
    for folder in (tmp_path / "runs/digits/mortal").iterdir():
        (folder / "record.json").unlink()
    assert same_results(serial, tmp_path / "runs") == 12


#: Fits of 8 bits never end.
ENDLESS = """import pathlib, time
            while self.bits == 8:
                pathlib.Path({begun!r}).touch()
                time.sleep(0.1)"""


@pytest.mark.slow
def test_a_lost_worker_and_a_time_limit_cost_one_fit_each(
    tmp_path: Path, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the time limit leaps when the endless fit has begun, and stands still for the others."""
    marker, begun = tmp_path / "died", tmp_path / "begun"
    plugin("mortal", method_source("mortal", fit=MORTAL.format(marker=str(marker))))
    plugin("endless", method_source("endless", fit=ENDLESS.format(begun=str(begun))))
    monkeypatch.setattr(crew, "time", SimpleNamespace(monotonic=lambda: 1e6 * begun.exists()))
    changes = {"methods": ("lsh", "mortal", "endless"), "bits": (8, 16)}
    summary = run(tmp_path / "runs", LocalProcesses(1, time_limit=25), **changes)
    kinds = sorted(record.failure.kind for record in summary.records if record.failure)
    assert (summary.ran, kinds) == (6, ["lost", "timeout"])
    lost = next(r for r in summary.records if r.failure and r.failure.kind == "lost")
    assert "SIGKILL" in (lost.failure.message if lost.failure else "")
    assert lost.environment is not None
    assert collect(tmp_path / "runs")["counts"]["failed"] == 2
    again = run(
        tmp_path / "runs", LocalProcesses(1), frozenset({"failed"}), **{**changes, "methods": ("mortal",)}
    )
    assert (again.ran, again.failed) == (1, 0)


def command(results: Path, *extra: str) -> list[str]:
    base = ["run", "--results", str(results), "--device", "cpu"]
    return [*base, "--tracking-uri", "none", "--curve-points", "1", *extra]


@pytest.mark.slow
def test_two_drivers_share_a_folder_and_repeat_nothing(serial: Path, tmp_path: Path, held: Held) -> None:
    """Each has a fit of its own that holds before either goes on."""
    flags = ("--methods", "held,hashnet,itq,lsh", "--bits", "8,16", "--seeds", "0,1", "--epochs", "1")
    line, outs = command(tmp_path / "runs", *flags), (tmp_path / "out0", tmp_path / "out1")
    with (
        Program(*line, log=tmp_path / "log0", out=outs[0]) as one,
        Program(*line, log=tmp_path / "log1", out=outs[1]) as two,
    ):
        wait_until(lambda: len([*held.folder.iterdir()]) == 2, lambda: one.text() + two.text())
        held.open()
        assert [one.wait(), two.wait()] == [0, 0], one.text() + two.text()
        trained = (one.text() + two.text()).count(": mAP ")
    ran = [int(out.read_text().split(" fits run")[0].split()[-1]) for out in outs]
    assert sum(ran) == 16
    assert min(ran) > 0, "both worked"
    assert trained == 16
    for path in (tmp_path / "runs").glob("digits/held/*/record.json"):
        path.unlink()
    assert same_results(serial, tmp_path / "runs") == 12
    assert not [*(tmp_path / "runs/claims").glob("*.json")]


def test_a_fit_that_another_driver_finishes_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other driver holds the claim for a while, saves, and gives it up."""
    from benchmark.store.locks import FitLocks

    changes = {"methods": ("lsh",), "bits": (8, 16)}
    store = Store(tmp_path / "runs")
    plan = planning.plan(sweep(**changes), store, None)
    store.open()
    first = plan.to_run[0]
    _, _, elsewhere = execute(tmp_path / "other", **changes)
    other = FitLocks(store.root)
    assert other.take(first.fit_id)
    real, looks = other.take, []

    def look(self: FitLocks, fit_id: str) -> bool:
        taken = bool(real.__func__(self, fit_id))  # type: ignore[attr-defined]
        if fit_id == first.fit_id and not taken:
            looks.append(fit_id)
            if len(looks) == 2:
                record = elsewhere.get(first)
                assert record is not None
                from benchmark.store.record import Artifacts

                store.save(record, Artifacts(codes=elsewhere.codes(first)))
                other.release(fit_id)
        return taken

    monkeypatch.setattr(FitLocks, "take", look)
    monkeypatch.setattr(sweep_driver, "POLL", 0.05)
    summary = sweep_driver.execute(plan, store, Runtime(), None, Lines(every=1e9))
    assert (summary.ran, summary.elsewhere, len(summary.records)) == (1, 1, 2)
    assert len(looks) == 2


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="this system has no file size limit")
def test_a_full_disk_is_one_line_and_no_half_record(tmp_path: Path, run_cli: Cli) -> None:
    """A limit on the size of files stands for the full disk: real writes fail, of codes and training states."""
    flags = ("--methods", "hashnet", "--bits", "16,32", "--epochs", "1", "--checkpoint-seconds", "0")
    line = command(tmp_path / "runs", *flags)
    with Program(*line, log=tmp_path / "log", out=tmp_path / "out", before=small_files) as driver:
        assert driver.wait() == 2, driver.text()
        assert "make room and run the same command again" in driver.text().splitlines()[-1]
        assert "Traceback" not in driver.text()
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert "record.json" not in files
    assert not [name for name in files if name.endswith(".tmp")]
    code, _, err = run_cli(*line)
    assert code == 0, err
    assert collect(tmp_path / "runs")["counts"]["done"] == 2


def test_a_claim_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.store.locks import FitLocks

    def full(self: FitLocks, fit_id: str) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FitLocks, "take", full)
    with pytest.raises(InputError, match="No space left on device; make room"):
        execute(tmp_path, methods=("lsh",), bits=(8,))
    assert not [*tmp_path.rglob("record.json")]


@pytest.mark.parametrize(
    ("fit", "kind"),
    [
        ("raise MemoryError('too much')", "out-of-memory"),
        ("torch.empty(2**58, dtype=torch.uint8)", "out-of-memory"),
        ("raise FloatingPointError('loss is nan')", "not-finite"),
        ("import sys; sys.setrecursionlimit(1000); f = lambda: f(); f()", "error"),
        ("raise ValueError('line one\\\\nline two')", "error"),
    ],
)
def test_what_goes_wrong_is_a_result(tmp_path: Path, plugin: Plugin, fit: str, kind: str) -> None:
    plugin("faulty", method_source("faulty", fit=fit))
    summary = execute(tmp_path, methods=("faulty", "lsh"), bits=(8,))[1]
    failure = summary.records[0].failure
    assert failure is not None
    assert (failure.kind, summary.failed, summary.ran) == (kind, 1, 2)
    assert "\n" not in failure.message


@pytest.mark.slow
def test_sigterm_saves_the_fits_of_worker_processes(tmp_path: Path, held: Held, run_cli: Cli) -> None:
    flags = (
        "--methods",
        "held",
        "--bits",
        "8,16",
        "--epochs",
        "1",
        "--executor",
        "processes",
        "--workers",
        "2",
    )
    with Program(*command(tmp_path / "runs", *flags), log=tmp_path / "log") as driver:
        held.wait_for("8-0", "16-0", log=driver.text)
        # What a worker says reaches its driver a moment later.
        wait_until(lambda: len([*(tmp_path / "runs/claims").glob("*.progress")]) == 2, driver.text)
        code, out, _ = run_cli("status", "--results", str(tmp_path / "runs"))
        assert code == 0
        assert out.startswith("2 running"), out
        assert "running: held digits 8b s0 (" in out
        assert out.count("process ") == 2, out
        driver.send(signal.SIGTERM)
        assert driver.wait() == 143, driver.text()
        assert "continues where it stopped" in driver.text()
    found = collect(tmp_path / "runs")
    assert found["counts"]["failed"] == found["counts"]["done"] == found["counts"]["running"] == 0
    assert len(found["unfinished"]) == 2
    assert len([*tmp_path.rglob("checkpoint.pt")]) == 2


@pytest.fixture(scope="module")
def kill_sweep() -> Any:
    """benchmarks/kill_sweep.py: it kills forty times, at random moments of twenty-four fits."""
    spec = importlib.util.spec_from_file_location("kill_sweep", ROOT / "benchmarks/kill_sweep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: Right before a file operation, in this order: what the folder then holds of finished fits and training states.
KILLS = [
    (DieAt("open", "*/claims/*.json"), 0, 0),
    (DieAt("os.rename", "*/checkpoint.pt", 3), 0, 1),
    (DieAt("os.rename", "*/codes.npz"), 0, 1),
    (DieAt("os.rename", "*/record.json"), 0, 1),
    (DieAt("os.remove", "*/claims/*.json"), 1, 0),
    (DieAt("os.rename", "*/checkpoint.pt", 3), 1, 1),
    (DieAt("os.rename", "*/record.json", 3), 3, 0),
]


@pytest.mark.slow
def test_a_sweep_survives_sigkill(tmp_path: Path, kill_sweep: Any, run_cli: Cli) -> None:
    """At known moments; benchmarks/kill_sweep.py draws them."""
    changes = {"methods": ("hashnet", "itq"), "bits": (8,), "seeds": (0, 1), "epochs": 1}
    execute(tmp_path / "undisturbed", **changes)
    results, seen = tmp_path / "runs", dict[Path, int]()
    flags = ("--methods", "hashnet,itq", "--bits", "8", "--seeds", "0,1", "--epochs", "1")
    line = command(results, *flags, "--checkpoint-seconds", "0")
    for number, (moment, done, states) in enumerate(KILLS):
        with Program(*line, log=tmp_path / "log", before=moment) as driver:
            assert driver.wait() == -signal.SIGKILL, driver.text()
        now = kill_sweep.finished(results)
        assert not collect(results)["unreadable"]
        assert seen.items() <= now.items(), "a finished record was lost or written again"
        assert (len(now), len([*results.rglob("checkpoint.pt")])) == (done, states), number
        seen = now
    assert run_cli(*line)[0] == 0
    assert seen.items() <= kill_sweep.finished(results).items()
    assert kill_sweep.compare(tmp_path / "undisturbed", results) == 4
    assert not [*results.rglob("checkpoint.pt"), *results.rglob("*.tmp"), *results.glob("claims/*.json")]


@pytest.mark.slow
def test_the_script_that_kills_finds_nothing_broken(
    tmp_path: Path, held: Held, kill_sweep: Any, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    """Its moment that needs no luck: a fit runs, and holds."""
    monkeypatch.setattr(kill_sweep, "SWEEP", ["--methods", "held", "--bits", "8", "--device", "cpu"])
    monkeypatch.setattr(kill_sweep, "MOMENTS", {"fits": 1})
    torture = kill_sweep.Torture(tmp_path, 1, 0, ("--epochs", "1", "--tracking-uri", "none"), 1)
    torture.go(fit_seconds=0)
    assert torture.counts["fits"] == torture.counts["drivers started"] == 1
    held.open()
    assert run_cli(*torture.arguments[3:])[0] == 0
    execute(tmp_path / "undisturbed", methods=("held",), bits=(8,), epochs=1)
    assert kill_sweep.compare(tmp_path / "undisturbed", torture.results) == 1
