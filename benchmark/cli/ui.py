"""`benchmark ui`: MLflow's own interface over a results folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click


@click.command(name="ui")
@click.option(
    "--results", default="results/runs", metavar="DIR", show_default=True, help="The results folder."
)
@click.option("--tracking-uri", metavar="URI", help="MLflow tracker.  [SQLite inside --results]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Port.")
def command(results: str, tracking_uri: str | None, host: str, port: int) -> int:
    """Open MLflow's own interface on 127.0.0.1."""
    from benchmark.errors import InputError
    from benchmark.tracking import check_uri, default_uri

    if not tracking_uri and not (Path(results) / "mlflow.db").is_file():
        raise InputError(f"no MLflow database in {results!r}; run something first, or give --tracking-uri")
    uri = check_uri(tracking_uri) if tracking_uri else default_uri(Path(results))
    arguments = ["server", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    click.echo(f"http://{host}:{port}  (Ctrl-C ends it)")
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ}
    return subprocess.run(
        [sys.executable, "-m", "mlflow", *arguments], check=False, env=environment
    ).returncode
