from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from benchmark.errors import InputError
from benchmark.fit.runtime import Runtime
from benchmark.store import mlflow, mlflow_address, mlflow_fields, mlflow_sync
from benchmark.store.locks import FitLocks
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_address import default_uri
from benchmark.store.mlflow_experiment import EXPERIMENT
from benchmark.store.mlflow_sync import sync
from benchmark.store.record import Score
from benchmark.store.store import Store
from benchmark.sweep import collect, driver
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.saved import save_sweep
from tests.helpers import execute, sweep
from tests.programs import Held, Program


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    execute(root, methods=("lsh", "hashnet"), bits=(8,), epochs=1)
    return root


@pytest.fixture(scope="module")
def store(results: Path) -> Store:
    return Store(results)


def runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id]))


def test_records_arrive_whole_and_once(store: Store) -> None:
    uri = default_uri(store.root)
    assert sync(store, Tracker(uri, store)) == (2, 0)
    assert sync(store, Tracker(uri, store)) == (2, 0)
    found = {run.data.tags["fit_id"]: run for run in runs(uri)}
    assert len(runs(uri)) == 2
    for record in store.records():
        run = found[record.fit_id]
        assert run.data.metrics["map"] == pytest.approx(record.score())
        assert run.data.params["bits"] == "8"
        assert run.info.status == "FINISHED"
        assert "ties averaged" in run.data.tags["rules"]
        names = {path.name for path in Path(run.info.artifact_uri.removeprefix("file://")).iterdir()}
        assert {"record.json", "codes.npz"} <= names


def test_a_run_says_when_on_what_and_how_well(store: Store) -> None:
    """Its times are the fit's, its data set an input, its scores named with their cutoffs; the experiment opens on
    runs."""
    from mlflow import MlflowClient

    uri = default_uri(store.root)
    sync(store, Tracker(uri, store))
    found = {run.data.tags["fit_id"]: run for run in runs(uri)}
    for record in store.records():
        run = found[record.fit_id]
        took = (run.info.end_time - run.info.start_time) / 1000
        assert took == pytest.approx(record.timings.total, abs=0.01)
        began = datetime.fromisoformat(record.started).timestamp()
        assert run.info.start_time / 1000 == pytest.approx(began, abs=0.01)
        history = MlflowClient(uri).get_metric_history(run.info.run_id, "map")
        assert [point.step for point in history] == [0], "another step is drawn as a dot, not as a bar"
        assert {"map", "precision_at_100"} <= run.data.metrics.keys()
        assert run.data.metrics["precision_at_100"] == pytest.approx(
            next(one.value for one in record.scores if (one.metric, one.k) == ("precision", 100))
        )
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("digits", record.spec.fingerprint)
        assert run.data.tags["method"] == record.spec.method
        assert (run.data.tags["bits"], run.data.tags["seed"]) == ("8", "0")
    experiment = MlflowClient(uri).get_experiment_by_name(EXPERIMENT)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_fit_is_followed_while_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run holds its losses until the record's takes its place; a stopped one is marked so."""
    monkeypatch.setattr(mlflow, "LIVE_SECONDS", 0.0)
    store, uri = Store(tmp_path), f"sqlite:///{tmp_path / 'live.db'}"
    tracker = Tracker(uri, store)
    seen: list[Any] = []
    real = Tracker.send

    def look(self: Tracker, record: Any) -> bool:
        seen.extend(run for run in runs(uri) if run.data.tags.get("state") == "running")
        return real(self, record)

    monkeypatch.setattr(Tracker, "send", look)
    plan = planning.plan(sweep(methods=("hashnet",), bits=(8,), epochs=1), store, None)
    store.open()
    driver.execute(plan, store, Runtime(), None, Lines(every=1e9), tracker)
    assert [run.info.status for run in seen] == ["RUNNING"]
    assert (seen[0].data.tags["method"], seen[0].data.tags["bits"]) == ("hashnet", "8")
    assert seen[0].data.metrics["train.loss"] > 0
    (run,) = [run for run in runs(uri) if run.data.tags.get("kind") == "fit"]
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "done")
    assert "map" in run.data.metrics
    spec = plan.fits[0].fit
    assert spec is not None
    tracker.follow(spec.model_copy(update={"seed": 7}), "", {"train.loss": 1.0}, 3)
    tracker.let_go()
    (stopped,) = [run for run in runs(uri) if run.info.status == "KILLED"]
    assert stopped.data.tags["state"] == "stopped"


def _follow_at_once() -> None:
    mlflow.LIVE_SECONDS = 0.0


def test_the_run_of_a_killed_fit_is_ended_and_that_of_a_living_one_is_not(
    tmp_path: Path, held: Held, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    results = tmp_path / "runs"
    uri = default_uri(results)
    line = (
        "run",
        "--methods",
        "held",
        "--bits",
        "8",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--results",
        results,
    )

    def fits() -> list[tuple[str, str]]:
        found = [run for run in runs(uri) if run.data.tags["kind"] == "fit"]
        (whole,) = [run for run in runs(uri) if run.data.tags["kind"] == "sweep"]
        assert [whole.info.status] == [run.info.status for run in found], (
            "the sweep's run ends with its fit's"
        )
        return [(run.info.status, run.data.tags["state"]) for run in found]

    with Program(*line, log=tmp_path / "log", before=_follow_at_once) as driver:
        held.wait_for("8-0", log=driver.text)
        assert fits() == [("RUNNING", "running")]
        assert run_cli("track", "--sync", "--results", str(results))[0] == 0
        assert fits() == [("RUNNING", "running")], "its process lives"
        driver.send(signal.SIGKILL)
        assert driver.wait() == -signal.SIGKILL
    (note,) = results.glob("claims/*.live")
    last = int(1000 * note.stat().st_mtime)
    assert run_cli("track", "--sync", "--results", str(results))[0] == 0
    assert fits() == [("KILLED", "stopped")]
    (run,) = [run for run in runs(uri) if run.data.tags["kind"] == "fit"]
    assert run.info.end_time == last
    assert not [*(results / "claims").glob("*.*"), *(results / "sweeps").glob(".*.open")]
    held.open()
    assert run_cli(*map(str, line))[0] == 0
    assert fits() == [("FINISHED", "done")]


def test_following_a_fit_changes_neither_its_times_nor_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the tracker is no training, and what gives a dead server up soon outlasts the fit."""
    monkeypatch.setattr(mlflow, "LIVE_SECONDS", 0.0)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    store, tracker = Store(tmp_path), Tracker(f"sqlite:///{tmp_path / 'live.db'}", Store(tmp_path))
    real, waited = Tracker._follow, list[float]()

    def slow(self: Tracker, *given: Any) -> None:
        begun = time.monotonic()
        real(self, *given)
        while time.monotonic() < begun + 0.5:  # a slow tracker
            time.sleep(0.05)
        waited.append(time.monotonic() - begun)

    monkeypatch.setattr(Tracker, "_follow", slow)
    plan = planning.plan(sweep(methods=("hashnet",), bits=(8,), epochs=1), store, None)
    store.open()
    driver.execute(plan, store, Runtime(), None, Lines(every=1e9), tracker)
    (record,) = store.records()
    assert waited
    assert record.timings.train < record.timings.total - sum(waited)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_no_score_of_many_views_is_cut(store: Store, tmp_path: Path) -> None:
    (record,) = (one for one in store.records() if one.spec.method == "hashnet")
    more = [Score(view=f"corruption:fog@{number}", metric="map", value=0.25) for number in range(1100)]
    large = record.model_copy(update={"scores": [*record.scores, *more]})
    uri = f"sqlite:///{tmp_path / 'large.db'}"
    assert Tracker(uri, store).send(large)
    (run,) = [run for run in runs(uri) if run.data.tags["kind"] == "fit"]
    assert run.data.metrics["corruption:fog.1099.map"] == 0.25
    assert {"seconds.train", "train.loss"} <= run.data.metrics.keys()


def test_the_training_curve_is_there(store: Store) -> None:
    from mlflow import MlflowClient

    uri = default_uri(store.root)
    sync(store, Tracker(uri, store))
    (run,) = [run for run in runs(uri) if run.data.params["method"] == "hashnet"]
    history = MlflowClient(uri).get_metric_history(run.info.run_id, "train.loss")
    assert [point.step for point in history] == list(range(7))


def test_views_that_come_later_reach_the_fits_run(tmp_path: Path) -> None:
    store, fog = Store(tmp_path), "corruption:fog@3"
    execute(tmp_path, methods=("itq",), bits=(8,))
    uri = f"sqlite:///{tmp_path / 'views.db'}"
    assert sync(store, Tracker(uri, store)) == (1, 0)
    plan = planning.plan(sweep(methods=("itq",), bits=(8,), views=("clean", fog)), store, None)
    tracker = Tracker(uri, store)
    summary = driver.execute(plan, store, Runtime(), None, Lines(every=1e9), tracker)
    assert (summary.viewed, summary.untracked) == (1, 0)
    (run,) = [run for run in runs(uri) if run.data.tags.get("kind") == "fit"]
    (record,) = store.records()
    assert run.data.metrics["corruption:fog.3.map"] == pytest.approx(record.score("map", fog))
    assert run.data.metrics["map"] == pytest.approx(record.score())


def test_a_lost_ledger_makes_no_second_run(store: Store) -> None:
    uri = default_uri(store.root)
    sync(store, Tracker(uri, store))
    for path in store.root.rglob("tracked.json"):
        path.unlink()
    assert sync(store, Tracker(uri, store)) == (2, 0)
    assert len(runs(uri)) == 2


def test_a_half_sent_run_is_replaced(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    record = next(store.records())
    tracker = Tracker(uri, store)
    client = tracker._connect()
    monkeypatch.setattr(client, "log_batch", lambda *arguments: (_ for _ in ()).throw(OSError("gone")))
    assert not tracker.send(record)
    assert not tracker.send(record), "a tracker that failed is left alone for a while"
    assert Tracker(uri, store).send(record)
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_dead_server_loses_nothing(store: Store) -> None:
    tracker = Tracker("http://127.0.0.1:9", store)
    assert sync(store, tracker) == (0, 2)
    assert len(list(store.records())) == 2


def die_at_the_tenth_table() -> None:
    made = itertools.count(1)

    def watch(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "CREATE TABLE" in statement and next(made) == 10:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", watch)


def test_a_kill_while_the_database_is_made_leaves_none(store: Store, tmp_path: Path) -> None:
    """MLflow makes its tables step by step and refuses what a killed process left of them."""
    path = tmp_path / "mlflow.db"
    uri = f"sqlite:///{path}"
    line = ("track", "--sync", "--results", store.root, "--tracking-uri", uri)
    with Program(*line, log=tmp_path / "log", before=die_at_the_tenth_table) as maker:
        assert maker.wait() == -signal.SIGKILL, maker.text()
    assert [file for file in tmp_path.glob(".mlflow.db.*.tmp") if file.stat().st_size], "it had begun"
    assert not path.exists()
    tracker = Tracker(uri, store)
    assert all(tracker.send(record) for record in store.records())
    assert not [*tmp_path.glob(".mlflow.db.*")]


def test_uris_are_checked_and_passwords_hidden() -> None:
    for bad in ("nonsense", "ftp://x", "C:\\x"):
        with pytest.raises(InputError, match="tracking URI"):
            mlflow_address.check_uri(bad)
    assert mlflow_address.check_uri("postgresql+psycopg2://host/db") == "postgresql+psycopg2://host/db"
    assert mlflow_address.public("postgresql://me:secret@host/db") == "postgresql://host/db"
    assert mlflow_address.public("sqlite:////tmp/x.db") == "sqlite:////tmp/x.db"


def run(store: Store, tracker: Tracker | None, **changes: Any) -> collect.Summary:
    plan = planning.plan(sweep(methods=("lsh",), **changes), store, None)
    store.open()
    name = save_sweep(plan, store).stem
    return driver.execute(plan, store, Runtime(sweep=name), None, Lines(every=1e9), tracker)


def test_a_later_run_sends_what_a_dead_driver_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "runs")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    run(store, None, bits=(8,))  # as if killed after the records and before MLflow
    run(store, None, bits=(16,))
    record = next(store.records())
    other = FitLocks(store.root)
    assert other.take(record.fit_id)  # another driver is about to send this one
    monkeypatch.setattr(mlflow_sync, "_MOMENT", 0.0)
    assert run(store, Tracker(uri, store), bits=(8, 16, 32)).untracked == 1
    assert {one.data.tags["fit_id"] for one in runs(uri) if one.data.tags["kind"] == "fit"} == {
        one.fit_id for one in store.records() if one.fit_id != record.fit_id
    }
    other.release(record.fit_id)
    assert run(store, Tracker(uri, store), bits=(8, 16, 32)).untracked == 0
    assert Counter(one.data.tags["kind"] for one in runs(uri)) == {"fit": 3, "sweep": 3}
    states = {
        one.data.tags["sweep"]: one.info.status for one in runs(uri) if one.data.tags["kind"] == "sweep"
    }
    assert [*states.values()] == ["FINISHED"] * 3, "each planned fit of the earlier ones has its record, too"
    assert not [*store.root.glob("claims/*.json")]
    monkeypatch.setattr(Tracker, "_connect", lambda self: pytest.fail("nothing is new"))
    assert run(store, Tracker(uri, store), bits=(8, 16, 32)).untracked == 0


def test_a_tracker_that_lost_its_database_is_filled_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    run(store, None, bits=(8, 16))
    uri = f"sqlite:///{tmp_path / 'lost.db'}"
    for _ in range(2):
        assert sync(store, Tracker(uri, store)) == (2, 0)
        assert [one.info.status for one in runs(uri)] == ["FINISHED"] * 3
        client = Tracker(uri, store)._connect()
        for one in runs(uri):
            client.delete_run(one.info.run_id)


class TestNames:
    def test_strange_names_are_translated_and_kept_apart(self) -> None:
        names = ["acc@1", "acc_at_1", "loss (sum)", "a//b/../c", "/", "ü", "n" * 400, "%", ":", "tab\there"]
        found = mlflow_fields.names_for(names)
        assert found["acc_at_1"] == "acc_at_1", "a good name stays"
        assert found["acc@1"].startswith("acc_at_1_")
        assert len(set(found.values())) == len(names)
        from mlflow.utils.validation import _validate_metric_name

        for name in found.values():
            _validate_metric_name(f"train.{name}")
        assert mlflow_fields.names_for(["acc@1"]) == {"acc@1": "acc_at_1"}

    def test_scalars_of_any_name_arrive(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        run(store, None, bits=(8,))
        (record,) = store.records()
        path = store.folder(record.spec) / "curve.csv"
        path.write_text("step,acc@1,a b%\n0,0.5,1\n1,0.75,2\n")
        uri = default_uri(store.root)
        assert sync(store, Tracker(uri, store)) == (1, 0)
        (found,) = (one for one in runs(uri) if one.data.tags["kind"] == "fit")
        assert found.data.metrics["train.acc_at_1"] == 0.75
        assert found.data.metrics["train.a b_"] == 2

    def test_more_parameters_than_one_call_takes(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(mlflow_fields, "params_of", lambda record: {f"p{i}": i for i in range(230)})
        uri = f"sqlite:///{tmp_path / 'many.db'}"
        assert Tracker(uri, store).send(next(store.records()))
        (found,) = (one for one in runs(uri) if one.data.tags["kind"] == "fit")
        assert len(found.data.params) == 230


def test_a_refused_fit_costs_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path / 'refuses.db'}"
    refused, taken = store.records()
    real = mlflow_fields.tags_of

    def tags(record: Any) -> dict[str, Any]:
        return real(record) | ({"no % name": 1} if record.fit_id == refused.fit_id else {})

    monkeypatch.setattr(mlflow_fields, "tags_of", tags)
    tracker = Tracker(uri, store)
    assert not tracker.send(refused)
    assert not tracker.paused
    assert "refuses lsh" in caplog.text or "refuses hashnet" in caplog.text
    assert tracker.send(taken)
    assert sync(store, Tracker(uri, store)) == (1, 1)
    kinds = [one.data.tags["fit_id"] for one in runs(uri) if one.data.tags["kind"] == "fit"]
    assert kinds == [taken.fit_id], "nothing half sent stays"
    monkeypatch.setattr(mlflow_fields, "tags_of", real)
    assert sync(store, Tracker(uri, store)) == (2, 0)


class TestPlaces:
    @pytest.mark.parametrize("name", ["moved", "with ? and # and %20", "ü;&=@'"])
    def test_a_moved_folder_keeps_its_artifacts(self, tmp_path: Path, name: str) -> None:
        first = tmp_path / "first"
        store = Store(first)
        run(store, Tracker(default_uri(first), store), bits=(8,))
        second = tmp_path / name
        first.rename(second)
        store = Store(second)
        uri = default_uri(second)
        assert run(store, Tracker(uri, store), bits=(8, 16)).untracked == 0
        assert not first.exists(), "the old place does not come back"
        assert sorted(path.name for path in tmp_path.iterdir()) == [name], "and no other place appears"
        fits = [one for one in runs(uri) if one.data.tags["kind"] == "fit"]
        assert len(fits) == 2
        from mlflow import MlflowClient

        for one in fits:
            assert "record.json" in {path.path for path in MlflowClient(uri).list_artifacts(one.info.run_id)}
        assert {*(second / "mlartifacts").iterdir()} == {
            second / "mlartifacts" / one.info.run_id for one in runs(uri)
        }

    def test_a_copied_folder_has_its_own(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "first")
        run(store, Tracker(default_uri(store.root), store), bits=(8,))
        shutil.copytree(store.root, tmp_path / "copy")
        copy = Store(tmp_path / "copy")
        run(copy, Tracker(default_uri(copy.root), copy), bits=(8, 16))
        assert len(runs(default_uri(copy.root))) == len(runs(default_uri(store.root))) + 2
        for root in (store.root, copy.root):
            for one in runs(default_uri(root)):
                assert one.info.artifact_uri.startswith((root / "mlartifacts").as_uri() + "/")

    def test_a_database_elsewhere_keeps_a_place_that_is_there(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path / 'shared.db'}"
        for name in ("first", "second"):
            store = Store(tmp_path / name)
            run(store, Tracker(uri, store), bits=(8 if name == "first" else 16,))
        places = {one.info.artifact_uri.rsplit("/", 2)[0] for one in runs(uri)}
        assert places == {(tmp_path / "first" / "mlartifacts").as_uri()}

    def test_paths_become_uris_that_name_them(self, tmp_path: Path) -> None:
        assert mlflow_address.sqlite_uri(tmp_path / "x.db") == f"sqlite:///{tmp_path}/x.db"
        for name in ("a?b", "a#b", "a%20b", "a%3Fb", "a b", "ü", "a@b"):
            path = tmp_path / name / "x.db"
            assert mlflow_address.database_file(mlflow_address.sqlite_uri(path)) == path


@pytest.mark.parametrize("earlier", [False, True])
def test_a_deleted_experiment_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, earlier: bool
) -> None:
    """Also one of an earlier version, which has no kind: MLflow changes nothing of what is deleted."""
    from mlflow import MlflowClient

    store = Store(tmp_path)
    uri = default_uri(store.root)
    run(store, Tracker(uri, store), bits=(8,))
    client = MlflowClient(uri)
    if earlier:
        engine = sqlalchemy.create_engine(uri)
        with engine.begin() as database:
            database.execute(sqlalchemy.text("DELETE FROM experiment_tags"))
        engine.dispose()
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    assert run(store, Tracker(uri, store), bits=(8, 16)).untracked == 0
    assert "is restored" in caplog.text
    assert Counter(one.data.tags["kind"] for one in runs(uri)) == {"fit": 2, "sweep": 2}


def test_an_unreachable_database_is_given_up_soon(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pauses = list[float]()
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", pauses.append)
    (tmp_path / "folder.db").mkdir()
    for uri in (
        f"sqlite:///{tmp_path / 'folder.db'}",
        "postgresql://me:secret@127.0.0.1:9/db",
        "mysql://127.0.0.1:9/db",
    ):
        tracker = Tracker(uri, store)
        assert not tracker.send(next(store.records()))
        assert tracker.paused
    assert sum(pauses) < 15
    assert caplog.text.count("failed after") == 3
    assert "secret" not in caplog.text


def test_folders_are_refused_where_mlflow_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    if hasattr(pytest.importorskip("mlflow.environment_variables"), "MLFLOW_ALLOW_FILE_STORE"):
        with pytest.raises(InputError, match="no longer writes into folders"):
            mlflow_address.check_uri("file:/tmp/x")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert mlflow_address.check_uri("file:/tmp/x") == "file:/tmp/x"


def test_the_run_of_a_stopped_sweep_is_ended_and_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, uri = Store(tmp_path / "runs"), f"sqlite:///{tmp_path / 'runs.db'}"
    real, seen = driver._Run.stages, list[str]()

    def whole() -> str:
        return next(str(one.info.status) for one in runs(uri) if one.data.tags["kind"] == "sweep")

    def stopped(self: Any, stop: Any) -> Any:
        yield {fit_id: one for fit_id, one in self.fits.items() if one.fit.bits == 8}, self._to_train
        seen.append(whole())
        raise KeyboardInterrupt

    monkeypatch.setattr(driver._Run, "stages", stopped)
    assert run(store, Tracker(uri, store), bits=(8, 16)).interrupted == "SIGINT"
    assert (seen, whole()) == (["RUNNING"], "KILLED")
    assert sync(store, Tracker(uri, store)) == (1, 0)
    assert whole() == "KILLED", "one fit has no record"
    monkeypatch.setattr(driver._Run, "stages", real)
    assert run(store, Tracker(uri, store), bits=(8, 16)).ran == 1
    assert whole() == "FINISHED"
