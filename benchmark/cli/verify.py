"""`benchmark verify`: does a stored fit come out the same again?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from benchmark.cli._options import (
    data_root_option,
    device_option,
    results_option,
    skip_option,
    weights_option,
)


@click.command(name="verify")
@click.argument("fit_id", metavar="ID")
@results_option
@data_root_option
@device_option
@weights_option
@skip_option
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
