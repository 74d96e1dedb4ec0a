from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark import tracking
from benchmark.errors import InputError
from benchmark.records import Store
from benchmark.tracking import Tracker, default_uri, sync
from tests.helpers import execute


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
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id]))


def test_records_arrive_whole_and_once(store: Store) -> None:
    uri = default_uri(store.root)
    assert sync(store, Tracker(uri, store)) == (2, 0)
    assert sync(store, Tracker(uri, store)) == (2, 0)
    found = {run.data.tags["fit_id"]: run for run in runs(uri)}
    assert len(runs(uri)) == 2
    for record in store.records():
        run = found[record.fit_id]
        assert run.data.metrics["clean.map"] == pytest.approx(record.score())
        assert run.data.params["bits"] == "8"
        assert run.info.status == "FINISHED"
        assert "ties averaged" in run.data.tags["rules"]
        names = {path.name for path in Path(run.info.artifact_uri.removeprefix("file://")).iterdir()}
        assert {"record.json", "codes.npz"} <= names


def test_the_training_curve_is_there(store: Store) -> None:
    from mlflow import MlflowClient

    uri = default_uri(store.root)
    sync(store, Tracker(uri, store))
    (run,) = [run for run in runs(uri) if run.data.params["method"] == "hashnet"]
    history = MlflowClient(uri).get_metric_history(run.info.run_id, "train.loss")
    assert [point.step for point in history] == list(range(7))


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


def test_uris_are_checked_and_passwords_hidden() -> None:
    for bad in ("nonsense", "ftp://x", "C:\\x"):
        with pytest.raises(InputError, match="tracking URI"):
            tracking.check_uri(bad)
    assert tracking.check_uri("postgresql+psycopg2://host/db") == "postgresql+psycopg2://host/db"
    assert tracking.public("postgresql://me:secret@host/db") == "postgresql://host/db"
    assert tracking.public("sqlite:////tmp/x.db") == "sqlite:////tmp/x.db"
