"""`benchmark report`: tables and figures from records."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.option(
    "--results", default="results/runs", metavar="DIR", show_default=True, help="The results folder."
)
@click.option("--out", metavar="DIR", help="Where to write.  [<results>/report]")
def command(results: str, out: str | None) -> None:
    """Render tables and figures from a results folder."""
    from benchmark.errors import InputError
    from benchmark.report import render

    if not Path(results).is_dir():
        raise InputError(f"results folder {results!r} does not exist")
    for path in render(Path(results), Path(out) if out else Path(results) / "report"):
        click.echo(str(path))
