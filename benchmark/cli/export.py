"""`benchmark export`: a finished fit as a folder that needs nothing of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli._database import open_database
from benchmark.cli._options import fit_options, open_fit


@click.command(name="export")
@fit_options
@click.option("--to", required=True, metavar="DIR", help="The folder to make.")
@click.option(
    "--database",
    metavar="DIR|FILE",
    help="Images, or codes that `encode` wrote.  [the database that the fit was scored on]",
)
def command(
    to: str,
    database: str | None,
    **where: Any,
) -> None:
    """Write weights, network, preprocessing, codes and an index of the finished fit whose id begins with FIT."""
    from benchmark.errors import InputError
    from benchmark.use.export import export, stored_codes

    if where["device"] not in ("auto", "cpu"):
        raise InputError(f"export writes a program for the CPU: leave --device {where['device']} out")
    encoder = open_fit({**where, "device": "cpu"})
    if database is None:
        codes = stored_codes(encoder, Path(where["results"]))
    else:
        codes = open_database(encoder, database, None, where["skip_bad_images"]).codes
    files = export(encoder, codes, Path(to))
    click.echo(f"{encoder.record.spec.label} ({encoder.record.fit_id}) in {to}: {', '.join(files)}")
