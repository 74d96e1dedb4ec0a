"""`benchmark track`: mirror records into MLflow after the fact."""

from __future__ import annotations

import click

from benchmark.cli._options import results_option


@click.command(name="track")
@click.option("--sync", is_flag=True, help="Send every record that the tracker lacks.")
@results_option
@click.option("--tracking-uri", metavar="URI", help="MLflow tracker.  [SQLite inside --results]")
def command(sync: bool, results: str, tracking_uri: str | None) -> int:
    """Send finished fits to MLflow again (after a tracker failed)."""
    from benchmark.store import mlflow_sync
    from benchmark.store.mlflow import Tracker
    from benchmark.store.mlflow_address import default_uri, public
    from benchmark.store.store import existing

    store = existing(results)
    uri = tracking_uri or default_uri(store.root)
    tracker = Tracker(uri, store)
    if not sync:
        missing = sum(not tracker.is_sent(record) for record in store.records())
        click.echo(f"{missing} fits are not in {public(uri)}; --sync sends them")
        return 0
    sent, missing = mlflow_sync.sync(store, tracker)
    click.echo(f"{sent} fits are in {public(uri)}, {missing} could not be sent")
    return 1 if missing else 0
