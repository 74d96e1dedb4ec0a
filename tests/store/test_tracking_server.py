"""A real MLflow server that dies and comes back in the middle of a sweep."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.fit.runtime import Runtime
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_experiment import EXPERIMENT
from benchmark.store.mlflow_sync import sync
from benchmark.store.store import Store
from benchmark.sweep import driver
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.saved import save_sweep
from tests.helpers import sweep
from tests.programs import PATIENCE, wait_until

#: Without its job runners, each of which loads MLflow again.
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Postgres:
    """A PostgreSQL of its own on 127.0.0.1, with a password. It refuses to run as root, so another user runs it."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.port, self._binaries = free_port(), binaries
        self._user = "postgres" if os.getuid() == 0 else None
        self._data, password = folder / "data", folder / "password"
        password.write_text("secret-of-the-test")
        self.uri = f"postgresql+psycopg2://tester:secret-of-the-test@127.0.0.1:{self.port}/postgres"
        if self._user:
            folder.chmod(0o755)
            for path in (folder, password):
                shutil.chown(path, self._user)
        self._call("initdb", "-U", "tester", "-A", "scram-sha-256", "--no-sync", "--pwfile", str(password))

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._call(
            "pg_ctl", "start", "-w", "-t", f"{PATIENCE:.0f}", "-l", str(self._data / "log"), "-o", options
        )

    def crash(self) -> None:
        """End without a farewell: the next start recovers from the write-ahead log."""
        self._call("pg_ctl", "stop", "-m", "immediate")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "-D", str(self._data), *arguments]
        quiet = subprocess.DEVNULL  # a pipe would stay open as long as the server
        done = subprocess.run(command, user=self._user, cwd="/", stdout=quiet, stderr=quiet, check=False)
        assert done.returncode == 0, command


class Server:
    """`mlflow server` on 127.0.0.1, over SQLite or another database."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.port = free_port()
        self.uri, self._folder = f"http://127.0.0.1:{self.port}", folder
        self._database = database or f"sqlite:///{folder}/server.db"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--backend-store-uri", self._database, "--port", str(self.port)]
        arguments += ["--artifacts-destination", str(self._folder / "artifacts"), "--host", "127.0.0.1"]
        log = (self._folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--workers", "1", *arguments],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **LEAN},
        )
        wait_until(self._answers, lambda: (self._folder / "server.log").read_text()[-3000:])

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "server.log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers slowly is not dead: what is tested is one that does not answer."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", f"{PATIENCE:.0f}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    made = Server(folder)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    places = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    found = [Path(place).resolve().parent for place in places if place]
    if not found:
        pytest.skip("PostgreSQL is not installed (no initdb)")
    pytest.importorskip(
        "psycopg2", reason="PostgreSQL's driver is not installed: pip install psycopg2-binary"
    )
    if os.getuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user `postgres`")
    # Not below tmp_path, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        made = Postgres(Path(folder), found[0])
        made.start()
        yield made
        made.crash()


class Moments(Lines):
    """A display that does something when the n-th fit has ended."""

    def __init__(self, moments: dict[int, Any]) -> None:
        super().__init__(every=1e9)
        self._moments, self._ended = moments, 0

    def fit_finished(self, number: int, text: str) -> None:
        super().fit_finished(number, text)
        self._ended += 1
        self._moments.get(self._ended, lambda: None)()


def runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id]))


@pytest.mark.slow
def test_a_server_that_dies_and_returns_ends_complete(server: Server, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    changes = {"methods": ("itq", "lsh"), "bits": (8, 16), "seeds": (0, 1)}
    plan = planning.plan(sweep(**changes), store, None)
    store.open()
    name = save_sweep(plan, store).stem
    tracker = Tracker(server.uri, store)
    display = Moments({3: server.kill})
    summary = driver.execute(plan, store, Runtime(sweep=name), None, display, tracker)
    assert (summary.ran, summary.failed) == (8, 0), "training went on"
    assert summary.untracked == 6
    assert len([*store.records()]) == 8
    server.start()
    for _ in range(2):
        assert sync(store, Tracker(server.uri, store)) == (8, 0)
    found = runs(server.uri)
    counts = Counter(run.data.tags.get("fit_id") for run in found if run.data.tags["kind"] == "fit")
    assert counts == Counter(record.fit_id for record in store.records()), "each fit once"
    (parent,) = [run for run in found if run.data.tags["kind"] == "sweep"]
    assert parent.data.tags["sweep"] == name
    assert {run.info.status for run in found} == {"FINISHED"}
    fits = [run for run in found if run.data.tags["kind"] == "fit"]
    assert {run.data.tags["mlflow.parentRunId"] for run in fits} == {parent.info.run_id}
    _check_artifacts(server.uri, fits[0], parent)


def _check_artifacts(uri: str, fit: Any, parent: Any) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    assert {"codes.npz", "record.json"} <= {item.path for item in client.list_artifacts(fit.info.run_id)}
    names = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {Path(name).suffix for name in names} == {".toml", ".json", ".views"}


@pytest.mark.slow
def test_a_server_that_returns_before_the_end_is_caught_up(server: Server, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    plan = planning.plan(sweep(methods=("lsh",), bits=(8, 16, 32, 64)), store, None)
    store.open()
    tracker = Tracker(server.uri, store)
    display = Moments({2: server.kill, 4: server.start})
    summary = driver.execute(plan, store, Runtime(), None, display, tracker)
    assert (summary.ran, summary.untracked) == (4, 0)
    assert Counter(run.data.tags["fit_id"] for run in runs(server.uri)).most_common(1)[0][1] == 1
    assert len(runs(server.uri)) == 4


@pytest.mark.slow
def test_a_server_over_postgresql_dies_with_its_database_and_returns(
    postgres: Postgres, tmp_path: Path
) -> None:
    server, store = Server(tmp_path, postgres.uri), Store(tmp_path / "runs")

    def crash() -> None:
        server.kill()
        postgres.crash()

    server.start()
    try:
        plan = planning.plan(sweep(methods=("lsh",), bits=(8, 16), seeds=(0, 1)), store, None)
        store.open()
        name = save_sweep(plan, store).stem
        tracker = Tracker(server.uri, store)
        summary = driver.execute(plan, store, Runtime(sweep=name), None, Moments({2: crash}), tracker)
        assert (summary.ran, summary.failed, summary.untracked) == (4, 0, 3)
        postgres.start()
        server.start()
        for _ in range(2):
            assert sync(store, Tracker(server.uri, store)) == (4, 0)
        kinds = Counter(run.data.tags["kind"] for run in runs(server.uri))
        assert kinds == {"fit": 4, "sweep": 1}
        assert {run.info.status for run in runs(server.uri)} == {"FINISHED"}
    finally:
        server.kill()
