"""What `run` prints: a plan, what it will take, and what came out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click


def grid(config: Any) -> str:
    """A grid in a few words."""
    parts = [", ".join(config.datasets), f"{len(config.methods)} methods", f"{config.selection} selection"]
    return "; ".join(parts if config.selection != "last" else parts[:2])


def print_plans(configs: tuple[Any, ...], retry: frozenset[str]) -> None:
    """One line for each grid of a suite, then what all of them will take, shared fits counted once."""
    from benchmark import datastore, planning
    from benchmark.errors import InputError
    from benchmark.records import Store

    plans, store = [], Store(Path(configs[0].results))
    root = datastore.data_root(Path(configs[0].data_root) if configs[0].data_root else None)
    for number, config in enumerate(configs, 1):
        head = f"[{number}/{len(configs)}] {config.title}: {grid(config)}"
        try:
            plan = planning.plan(config.sweep, store, root, retry)
        except InputError as error:
            click.echo(
                f"{head}: {len(list(config.sweep.cells()))} fits cannot be planned here: {str(error)[:100]}"
            )
            continue
        plans.append(plan)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(plan.counts().items()))
        click.echo(f"{head}: {len(plan.cells)} fits: {counts}")
    print_forecast(plans, store, root)


def print_forecast(plans: list[Any], store: Any, root: Path | None) -> None:
    """What the plans take together: fits, hours and disk by data set, then all."""
    from benchmark import datastore, registry
    from benchmark.forecast import forecast

    names = {cell.job.fit.dataset for plan in plans for cell in plan.cells if cell.job is not None}
    images = {name: len(datastore.labels_of(registry.dataset(name, root), root)) for name in names}
    rows = forecast(plans, store, images, root)
    for row in rows:
        basis = f"{row.measured} of them by records here" if row.measured else "by a table of one CPU core"
        click.echo(
            f"{row.dataset}: {row.fits} different fits, {row.to_run} to run; about {row.seconds / 3600:.1f} "
            f"hours of one worker ({basis}), {row.size / 1e9:.2f} GB on disk"
        )
    seconds, size = sum(row.seconds for row in rows), sum(row.size for row in rows)
    click.echo(
        f"all: {sum(row.fits for row in rows)} different fits, {sum(row.to_run for row in rows)} to run; about "
        f"{seconds / 3600:.1f} hours of one worker, {size / 1e9:.2f} GB; extra views and curves not counted; "
        "the table is of a CPU core, a GPU takes a fraction of it that was not measured"
    )


def print_plan(plan: Any) -> None:
    """One line for each cell, the notes, and how many would run."""
    for cell in plan.cells:
        state = f"{cell.state}, runs again" if cell.run and cell.state != "planned" else cell.state
        state = "views missing" if cell.extend else state
        click.echo(f"{state:<18} {cell.label}{': ' + cell.reason if cell.reason else ''}")
    for note in plan.notes:
        click.echo(f"note: {note}")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(plan.counts().items()))
    views = sum(len(cell.views) for cell in plan.cells if cell.run)
    click.echo(
        f"{len(plan.cells)} fits: {counts}; {len(plan.jobs)} would run"
        + (f", {views:,} views to evaluate at most" if views else "")
    )


def _sync_command(store: Any, uri: str) -> str:
    from benchmark.tracking import default_uri, public

    command = ["python", "-m", "benchmark", "track", "--sync", "--results", str(store.root)]
    return shlex.join(
        command if uri == default_uri(store.root) else [*command, "--tracking-uri", public(uri)]
    )


def print_summary(console: Any, plan: Any, summary: Any, store: Any, saved: Path, uri: str) -> None:
    """The table of scores, then what ran, failed, was left undone, and where it all lies."""
    from benchmark.summary import captions, summary_table
    from benchmark.tracking import public

    if summary.records:
        console.print(summary_table(summary.records))
    for line in captions(summary.records):
        click.echo(f"  {line}")
    for cell in plan.cells:
        if cell.state == "skipped" or (cell.state == "stale" and not cell.run):
            click.echo(f"  {cell.state}: {cell.label}: {cell.reason}")
    click.echo(
        f"{summary.ran} fits run, {summary.failed} of them failed; {plan.counts()['done']} were done before"
    )
    left = sum(cell.state == "failed" and not cell.run for cell in plan.cells)
    if left:
        click.echo(f"{left} had failed before and were left; --retry failed runs them again")
    for note in plan.notes:
        click.echo(f"  note: {note}")
    if summary.viewed:
        click.echo(f"views of {summary.viewed} fits were evaluated from their weights")
    for text in summary.unviewed:
        click.echo(f"  views failed: {text}", err=True)
    if summary.elsewhere:
        click.echo(f"{summary.elsewhere} fits were finished by another driver on this folder")
    click.echo(f"records: {store.root}/   sweep: {saved}")
    if uri != "none":
        click.echo(f"MLflow:  {public(uri)}   (open with: python -m benchmark ui --results {store.root})")
    if summary.untracked:
        click.echo(
            f"{summary.untracked} fits are not in MLflow; send them: {_sync_command(store, uri)}",
            err=True,
        )
    if summary.interrupted:
        click.echo(f"stopped by {summary.interrupted}; the same command continues where it stopped", err=True)
