"""`benchmark new`: a method file and its test that run from the first minute."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="new")
@click.argument("name")
@click.option(
    "--directory", metavar="DIR", help="Write an installable package here instead of into the checkout."
)
def command(name: str, directory: str | None) -> int:
    """Write a method file and its test that pass `check` as they are."""
    from benchmark.authoring import new_method
    from benchmark.spec import Sweep

    files = new_method.create(name, Path(directory) if directory is not None else None)
    for path in files:
        click.echo(f"wrote {path}")
    if directory is not None:
        click.echo(f"install it:  python -m pip install --no-deps --no-build-isolation -e {directory}")
    click.echo(f"check it:    python -m benchmark check {name}")
    click.echo(
        f"run it:      python -m benchmark run --methods {name} --datasets {Sweep().datasets[0]} --bits 16"
    )
    return 0
