"""`benchmark describe`: a method's networks as facts, for the architecture figure."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(name="describe")
@click.argument("method")
@click.option(
    "--dataset", default="cifar10", metavar="NAME", show_default=True, help="Data set to build for."
)
@click.option("--bits", default=32, show_default=True, type=click.IntRange(1, 4096), help="Code length.")
@click.option("--backbone", default="compact", show_default=True, help="Feature network.")
@click.option("--results", metavar="DIR", help="Write DIR/architecture/METHOD.json, for `report`.  [print]")
def command(method: str, dataset: str, bits: int, backbone: str, results: str | None) -> int:
    """Build METHOD's networks and list their parts; `report` draws the list as Figure 1."""
    from benchmark.authoring.describe import describe
    from benchmark.store.store import Store

    text = json.dumps(describe(method, dataset, bits, backbone), indent=1) + "\n"
    if results is None:
        click.echo(text, nl=False)
        return 0
    store = Store(Path(results))
    store.open()
    click.echo(str(store.write_text(f"architecture/{method}.json", text)))
    return 0
