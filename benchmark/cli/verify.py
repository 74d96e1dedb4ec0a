"""`benchmark verify`: does a stored fit come out the same again?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click


@click.command(name="verify")
@click.argument("fit_id", metavar="ID")
@click.option(
    "--results", default="results/runs", metavar="DIR", show_default=True, help="The results folder."
)
@click.option("--data-root", metavar="DIR", help="Folder of data sets.  [$BENCHMARK_DATA or ./data]")
@click.option("--device", metavar="auto|cpu|cuda|cuda:N|mps", default="auto", show_default=True)
@click.option("--weights", "weights_file", metavar="FILE", default="", help="The weights file that it used.")
@click.option("--skip-bad-images", is_flag=True, help="Leave out images that cannot be read, as in `run`.")
def command(
    fit_id: str, results: str, data_root: str | None, device: str, weights_file: str, skip_bad_images: bool
) -> int:
    """Run the fit whose id begins with ID again, in a temporary folder, and compare its codes bit for bit.

    Ends with 0 when they are the same, 1 when not; nothing in the results folder is changed.
    """
    from benchmark.data.load import skipping_bad_images
    from benchmark.files import places
    from benchmark.fit.devices import resolve_device
    from benchmark.store.store import existing, find
    from benchmark.sweep import verify

    store, where = existing(results), resolve_device(device)
    record = find(store, fit_id)
    root = places.data_root(data_root)
    skipping = skipping_bad_images(skip_bad_images)
    with skipping, tempfile.TemporaryDirectory(prefix="benchmark-verify-") as scratch:
        verdict = verify.verify(store, record, root, Path(scratch), where, weights_file)
    for note in verdict.notes:
        click.echo(f"  note: {note}")
    state = "verified" if verdict.same else "NOT verified"
    click.echo(f"{state}: {record.spec.label} ({record.fit_id}): {verdict.text}")
    return 0 if verdict.same else 1
