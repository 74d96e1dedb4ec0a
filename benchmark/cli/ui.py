"""`benchmark ui`: MLflow's own interface over a results folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click

from benchmark.cli._options import results_option

#: Seconds that MLflow is given to end by itself.
_GRACE = 10.0


@click.command(name="ui")
@results_option
@click.option("--tracking-uri", metavar="URI", help="MLflow tracker.  [SQLite inside --results]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Port.")
def command(results: str, tracking_uri: str | None, host: str, port: int) -> int:
    """Open MLflow's own interface on 127.0.0.1."""
    from benchmark.errors import InputError
    from benchmark.store import mlflow_address, mlflow_sync
    from benchmark.store.store import Store

    if not tracking_uri and not (Path(results) / "mlflow.db").is_file():
        raise InputError(f"no MLflow database in {results!r}; run something first, or give --tracking-uri")
    uri = (
        mlflow_address.check_uri(tracking_uri) if tracking_uri else mlflow_address.default_uri(Path(results))
    )
    if mlflow_address.scheme(uri) in mlflow_address.SERVERS:
        click.echo(f"the tracker is a server with an interface of its own: {mlflow_address.public(uri)}")
        return 0
    _check_port(host, port)
    _mend_artifacts(uri, Path(results))
    mlflow_sync.end_dead(uri, Store(Path(results)))
    click.echo(f"http://{host}:{port}{_runs_page(uri)}  (Ctrl-C ends it)")
    with mlflow_address.no_strays(uri):
        return _serve(["--backend-store-uri", uri, "--host", host, "--port", str(port)])


def _check_port(host: str, port: int) -> None:
    """Raise InputError where nothing can listen: MLflow itself would end without an error."""
    from benchmark.errors import InputError

    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; --port and --host take others"
        ) from None


def _mend_artifacts(uri: str, results: Path) -> None:
    """After a move the pictures and records of each run are looked for beside the results; see `mend_artifacts`."""
    from benchmark.store import mlflow_address
    from benchmark.store.mlflow_experiment import EXPERIMENT

    if mlflow_address.scheme(uri) in mlflow_address.DATABASES and results.is_dir():
        with contextlib.suppress(
            Exception
        ):  # an empty, foreign or unreachable database: MLflow says so itself
            mlflow_address.mend_artifacts(uri, results, EXPERIMENT)


def _runs_page(uri: str) -> str:
    """Where the runs are; nothing for a database that cannot be asked, or holds none."""
    from benchmark.store import mlflow_address
    from benchmark.store.mlflow_experiment import EXPERIMENT

    file = mlflow_address.database_file(uri)
    if mlflow_address.scheme(uri) in mlflow_address.DATABASES and (file is None or file.exists()):
        with contextlib.suppress(Exception):
            return mlflow_address.runs_page(uri, EXPERIMENT)
    return ""


def _serve(arguments: list[str]) -> int:
    """Run MLflow's server in a process group of its own, which ends with this process. Returns the exit code."""
    received = list[int]()
    caught = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in caught}
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *arguments],
        env={"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ},
        start_new_session=True,
    )
    try:
        while not received and server.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.2)
        if received:
            _signal(server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_GRACE)
    finally:
        _signal(server.pid, signal.SIGKILL)  # its workers too
        code = server.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        return 0 if received[0] == signal.SIGINT else 128 + received[0]
    return code


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
