"""`ui`: one line where it cannot listen, nothing left behind where it could."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.cli import main
from benchmark.cli._run_text import _command
from benchmark.cli.ui import _runs_page
from benchmark.store.mlflow_address import default_uri
from tests.helpers import execute
from tests.store.test_tracking_server import LEAN, free_port


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from benchmark.store.mlflow import Tracker
    from benchmark.store.mlflow_sync import sync

    root = tmp_path_factory.mktemp("my results")
    _, _, store = execute(root, methods=("lsh",), bits=(8,))
    assert sync(store, Tracker(default_uri(root), store)) == (1, 0)
    return root


def test_a_busy_port_is_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["ui", "--results", str(results), "--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert main(["ui", "--results", str(results), "--host", "256.0.0.1"]) == 2


def test_a_server_has_an_interface_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--tracking-uri", "http://me:secret@somewhere:5000"]) == 0
    assert "http://somewhere:5000" in capsys.readouterr().out


def test_the_printed_command_opens_what_the_run_wrote() -> None:
    store = SimpleNamespace(root=Path("my results"))
    assert _command(store, default_uri(store.root), "ui") == "python -m benchmark ui --results 'my results'"
    with_tracker = _command(store, "sqlite:////tmp/an other.db", "ui")
    assert shlex.split(with_tracker)[-2:] == ["--tracking-uri", "sqlite:////tmp/an other.db"]


def test_the_address_leads_to_the_runs(results: Path) -> None:
    """MLflow 3 opens on traces where the address does not say otherwise; an empty database has no such page."""
    uri = default_uri(results)
    assert _runs_page(uri) == "/#/experiments/1/runs?workflowType=machine_learning"
    assert _runs_page(f"sqlite:///{results / 'none.db'}") == ""
    assert not (results / "none.db").exists()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143)])
def test_a_signal_leaves_no_server(results: Path, number: int, code: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmark", "ui", "--results", str(results), "--port", str(port)]
    ui = subprocess.Popen(
        command, env={**os.environ, **LEAN}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 200
        while not answers(port):
            assert ui.poll() is None, "it ended before it was asked to"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        ui.send_signal(number)
        assert ui.wait(100) == code
        assert not answers(port)
    finally:
        ui.kill()
