from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import registry
from benchmark.errors import InputError
from benchmark.fit.runtime import Progress
from benchmark.spec import Job, suites
from benchmark.store.locks import FitLocks
from benchmark.store.record import Artifacts
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from benchmark.sweep.collect import Collector
from benchmark.sweep.saved import save_sweep
from benchmark.sweep.status import collect
from tests.helpers import execute, method_source, only, sweep
from tests.programs import Held, Program

Plugin = Callable[..., Path]
CLOSED = {"methods": ("lsh", "itq"), "bits": (8, 16)}


def states(plan: planning.Plan) -> list[str]:
    return [cell.state for cell in plan.fits]


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    _, first, store = execute(tmp_path, **CLOSED)
    assert (first.ran, first.failed, len(first.records)) == (4, 0, 4)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    plan, second, _ = execute(tmp_path, **CLOSED)
    assert states(plan) == ["done"] * 4
    assert second.ran == 0
    assert len(second.records) == 4
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    assert [record.fit_id for record in store.records()] == [
        record.fit_id for record in Store(tmp_path).records()
    ]


def test_a_wider_sweep_runs_only_what_is_new(tmp_path: Path) -> None:
    execute(tmp_path, **CLOSED)
    plan, summary, _ = execute(tmp_path, **{**CLOSED, "seeds": (0, 1)})
    assert sorted(states(plan)) == ["done"] * 4 + ["planned"] * 4
    assert summary.ran == 4


def test_one_failure_stops_nothing_and_is_kept(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin("faulty", method_source("faulty", fit="raise ValueError('broken on purpose')"))
    methods = {"methods": ("faulty", "lsh"), "bits": (8,)}
    _, summary, _ = execute(tmp_path, **methods)
    assert (summary.ran, summary.failed) == (2, 1)
    plan, again, _ = execute(tmp_path, **methods)
    assert states(plan) == ["failed", "done"]
    assert "broken on purpose" in plan.fits[0].reason
    assert again.ran == 0, "a failure is retried only on request"
    path.write_text(path.read_text().replace("raise ValueError('broken on purpose')", "pass"))
    registry.refresh()
    sys.modules.pop("throwaway_faulty")
    _, mended, _ = execute(tmp_path, retry=frozenset({"failed"}), **methods)
    assert (mended.ran, mended.failed) == (1, 0)
    assert {record.state for record in mended.records} == {"done"}


def test_a_changed_method_is_stale_until_rerun(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin("moving", method_source("moving"))
    execute(tmp_path, methods=("moving",), bits=(8,))
    path.write_text(path.read_text().replace("64.5", "32.5"))
    registry.refresh()
    sys.modules.pop("throwaway_moving")
    plan, summary, _ = execute(tmp_path, methods=("moving",), bits=(8,))
    assert states(plan) == ["stale"]
    assert summary.ran == 0
    assert collect(tmp_path)["counts"]["stale"] == 1
    _, rerun, _ = execute(tmp_path, retry=frozenset({"stale"}), methods=("moving",), bits=(8,))
    assert rerun.ran == 1
    counts = collect(tmp_path)["counts"]
    assert counts.pop("done") == 1
    assert not any(counts.values())


def test_retry_all_runs_everything_again(tmp_path: Path) -> None:
    execute(tmp_path, **CLOSED)
    assert execute(tmp_path, retry=frozenset({"all"}), **CLOSED)[1].ran == 4


def test_unsupported_cells_are_skipped_with_a_reason(tmp_path: Path) -> None:
    plan, summary, _ = execute(tmp_path, methods=("itq", "lsh"), bits=(300,))
    skipped = plan.fits[0]
    assert (skipped.state, skipped.run) == ("skipped", False)
    assert "300 > 256" in skipped.reason
    assert only(summary).spec.method == "lsh"


def test_the_saved_sweep_is_a_suite_file(tmp_path: Path) -> None:
    changes = {"methods": ("itq",), "bits": (8,), "params": {"itq": {"iterations": 3}}}
    plan, _, store = execute(tmp_path, **changes)
    path = save_sweep(plan, store)
    again = suites.resolve(str(path), {}).sweep
    assert again == plan.sweep
    assert tomllib.loads(path.read_text())["set"]["itq"]["iterations"] == 3
    assert states(planning.plan(again, store, None)) == ["done"]


def test_parameters_are_part_of_the_identity(tmp_path: Path) -> None:
    execute(tmp_path, methods=("itq",), bits=(8,))
    plan, _, _ = execute(tmp_path, methods=("itq",), bits=(8,), params={"itq": {"iterations": 3}})
    assert states(plan) == ["planned"]
    spelled_out = {"itq": {"iterations": 50}}
    plan, _, _ = execute(tmp_path, methods=("itq",), bits=(8,), params=spelled_out)
    assert states(plan) == ["done"], "a default that is spelled out is the same fit"


def test_parameters_of_absent_methods_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean hashnet"):
        planning.plan(sweep(params={"hashnt": {"lr": 1}}), Store(Path("/nonexistent")), None)
    with pytest.raises(InputError, match="not in this sweep"):
        planning.plan(sweep(params={"itq": {"iterations": 1}}), Store(Path("/nonexistent")), None)


def test_weights_are_identified_by_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a.pt", tmp_path / "elsewhere.pt"
    one.write_bytes(b"same")
    two.write_bytes(b"same")

    def fit_id(weights: Path) -> str:
        plan = planning.plan(sweep(backbone="resnet18", weights=str(weights)), Store(tmp_path), None)
        assert plan.fits[0].fit is not None
        return plan.fits[0].fit.fit_id

    assert fit_id(one) == fit_id(two)
    two.write_bytes(b"other")
    assert fit_id(one) != fit_id(two)


def test_status_counts_what_sweeps_still_plan(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plan = planning.plan(sweep(**CLOSED), store, None)
    store.open()
    save_sweep(plan, store)
    assert collect(tmp_path)["counts"]["planned"] == 4
    execute(tmp_path, methods=("lsh",), bits=(8,))
    found = collect(tmp_path)
    assert (found["counts"]["done"], found["counts"]["planned"]) == (1, 3)
    (record,) = store.records()
    assert found["seconds_left"] == round(record.timings.total, 1), "of the fit of the same method"
    assert found["planned_unmeasured"] == 2


def test_the_time_left_follows_the_epochs_and_shares_what_runs(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    _, summary, store = execute(tmp_path, methods=("hashnet",), bits=(8,), epochs=1)
    (record,) = summary.records
    timings = record.timings.model_copy(update={"train": 100.0, "total": 130.0})
    store.save(record.model_copy(update={"timings": timings}), Artifacts())
    plan = planning.plan(sweep(methods=("hashnet",), bits=(8,), epochs=3, seeds=(0, 1)), store, None)
    save_sweep(plan, store)
    assert collect(tmp_path)["seconds_left"] == 2 * (30 + 3 * 100)
    begun, other = (planned.fit for planned in plan.fits if planned.fit)
    with FitLocks(tmp_path) as locks:
        locks.take(begun.fit_id)
        locks.tell(begun.fit_id, {"phase": "train", "step": 1, "steps": 9, "seconds_left": 20.0})
        assert collect(tmp_path)["seconds_left"] == 330 + 20
        locks.take(other.fit_id)
        locks.tell(other.fit_id, {"phase": "train", "step": 1, "steps": 9, "seconds_left": 40.0})
        assert collect(tmp_path)["seconds_left"] == 40, "two at a time: the longer one"
        assert "under a minute left for what runs now\n" in run_cli("status", "--results", str(tmp_path))[1]
    store.folder(begun).mkdir()
    (store.folder(begun) / "checkpoint.pt").touch()
    _, out, _ = run_cli("status", "--results", str(tmp_path))
    assert f"unfinished: {begun.label} ({begun.fit_id})" in out
    code, _, err = run_cli("show", begun.fit_id[:6], "--results", str(tmp_path))
    assert (code, "has no record yet" in err) == (2, True), err


HELD_RUN = ("run", "--methods", "held", "--bits", "8,16", "--epochs", "4", "--device", "cpu")
HELD_RUN += ("--tracking-uri", "none", "--curve-points", "1")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, np.ndarray]]:
    """Codes by length, as fits leave them that nobody disturbs and that never hold: `held` is HashNet."""
    _, _, store = execute(
        tmp_path_factory.mktemp("undisturbed"), methods=("hashnet",), bits=(8, 16), epochs=4
    )
    return {record.spec.bits: store.codes(record.spec) for record in store.records()}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_fit_and_the_same_command_continues(
    tmp_path: Path,
    held: Held,
    undisturbed: dict[int, dict[str, np.ndarray]],
    run_cli: Callable[..., tuple[int, str, str]],
    number: int,
    code: int,
) -> None:
    command, results = (*HELD_RUN, "--results", tmp_path / "runs"), tmp_path / "runs"
    with Program(*command, log=tmp_path / "log") as process:
        held.wait_for("8-0", log=process.text)
        process.send(number)
        assert process.wait() == code
        assert "with 2 fits to run; the same command continues where it stopped" in process.text()
        assert "Traceback" not in process.text()
    found = collect(results)
    assert found["counts"]["failed"] == found["counts"]["unreadable"] == found["counts"]["done"] == 0
    assert len(list(results.rglob("checkpoint.pt"))) == 1
    held.open()
    assert run_cli(*command)[0] == 0
    store = Store(results)
    assert {record.spec.bits for record in store.records()} == {8, 16}
    for record in store.records():
        a, b = undisturbed[record.spec.bits], store.codes(record.spec)
        assert all((a[key] == b[key]).all() for key in a)
    assert not list(results.rglob("checkpoint.pt"))


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_record(
    tmp_path: Path, held: Held, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    command, results = (*HELD_RUN, "--results", tmp_path / "runs"), tmp_path / "runs"
    with Program(*command, log=tmp_path / "log") as process:
        held.wait_for("8-0", log=process.text)
        held.release("8-0")
        held.wait_for("16-0", log=process.text)  # the first fit is stored, the second is under way
        process.send(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    counts = collect(results)["counts"]
    assert (counts["done"], counts["unreadable"]) == (1, 0)
    held.open()
    assert run_cli(*command)[0] == 0
    counts = collect(results)["counts"]
    assert (counts["done"], counts["failed"], counts["planned"]) == (2, 0, 0)
    assert json.loads(next(results.rglob("record.json")).read_text())["state"] == "done"


DAMAGES = {
    "empty": lambda text: "",
    "cut short": lambda text: text[: len(text) // 2],
    "zeros": lambda text: "\0" * len(text),
    "not a record": lambda text: "[]",
    "a field gone": lambda text: text.replace('"fit_id"', '"fit"', 1),
    "an impossible value": lambda text: re.sub(r'"state":"\w+"', '"state":"nearly"', text, count=1),
    "of another fit": lambda text: re.sub(r'"fit_id":"\w+"', '"fit_id":"0123456789abcdef"', text, count=1),
    "huge": lambda text: text + " " * 2**23,
}


@pytest.mark.parametrize("retry", [(), ("--retry", "all")], ids=["plain", "retry all"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_set_aside_and_its_fit_made_again(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]], damage: str, retry: tuple[str, ...]
) -> None:
    _, first, store = execute(tmp_path, **CLOSED)
    record = first.records[0]
    path = store.folder(record.spec) / "record.json"
    bad = DAMAGES[damage](path.read_text())
    path.write_text(bad)
    shutil.rmtree(tmp_path / "claims", ignore_errors=True)
    command = (
        "run",
        "--methods",
        "lsh,itq",
        "--bits",
        "8,16",
        "--results",
        tmp_path,
        "--tracking-uri",
        "none",
    )
    code, out, err = run_cli(*command, *retry)
    assert code == 0, err
    assert f"{record.spec.label}: its damaged record is kept as" in out + err
    assert ("1 fit run" if not retry else "4 fits run") in out
    assert (path.parent / "record.damaged-1.json").read_text() == bad
    assert store.get(record.spec).scores == record.scores
    assert collect(tmp_path)["counts"]["done"] == 4
    path.write_text("again")
    assert run_cli(*command)[0] == 0
    assert (path.parent / "record.damaged-2.json").read_text() == "again"
    assert run_cli("status", "--results", tmp_path)[0] == 0


def test_a_record_that_may_hold_a_result_is_never_set_aside(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    _, first, store = execute(tmp_path, **CLOSED)
    path = store.folder(first.records[0].spec) / "record.json"
    newer = re.sub(r'"record_schema":\d+', '"record_schema":99', path.read_text())
    path.write_text(newer)
    for extra in ((), ("--retry", "all")):
        command = (
            "run",
            "--methods",
            "lsh,itq",
            "--bits",
            "8,16",
            "--results",
            tmp_path,
            "--tracking-uri",
            "none",
        )
        code, _, err = run_cli(*command, *extra)
        assert (code, err.count("\n")) == (2, 1)
        assert "is of a newer layout (99, here up to 1)" in err
        assert [*path.parent.glob("record*")] == [path]
        assert path.read_text() == newer


def test_a_closed_form_counts_no_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = dict[str, set[int]]()

    def progressed(self: Collector, job: Job, event: Progress) -> None:
        if event.phase == "train":
            seen.setdefault(job.fit.method, set()).add(event.steps)

    monkeypatch.setattr(Collector, "progressed", progressed)
    execute(tmp_path, methods=("lsh", "hashnet"), bits=(8,), epochs=1)
    assert seen == {"lsh": {0}, "hashnet": {7}}
