"""What `run` prints: a plan, what it will take, and what came out."""

from __future__ import annotations

import functools
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmark.cli._text import counted, hours, plain, trace_lines

#: A summary names at most so many fits.
_NAMED = 12


def grid(config: Any) -> str:
    """A grid in a few words."""
    parts = [
        ", ".join(config.datasets),
        counted(len(config.methods), "method"),
        f"{config.selection} selection",
    ]
    return "; ".join(parts if config.selection != "last" else parts[:2])


def print_plans(configs: tuple[Any, ...], retry: frozenset[str], *, listed: bool, without_data: bool) -> None:
    """One line a grid, its fits where they are to be `listed`, then what all take, shared fits counted once.

    without_data: count the fits of data sets whose files are missing as well, and say what belongs where.
    """
    from benchmark.errors import InputError
    from benchmark.files.places import data_root
    from benchmark.store.store import Store
    from benchmark.sweep.lookup import Lookup
    from benchmark.sweep.plan import plan

    plans, unplanned, store = [], list[InputError](), Store(Path(configs[0].results))
    given = configs[0].data_root or os.environ.get("BENCHMARK_DATA")
    root = data_root(configs[0].data_root)
    without_data = without_data and not (
        given and not (root and root.is_dir())
    )  # a mistyped folder is a mistake
    known = Lookup(root, without_data=without_data)
    for number, config in enumerate(configs, 1):
        head = f"[{number}/{len(configs)}] {config.title}: {grid(config)}"
        try:
            found = plan(config.sweep, store, root, retry, known)
        except InputError as error:
            unplanned.append(error)
            if len(configs) > 1:
                click.echo(f"{head}: {len([*config.sweep.points()])} fits cannot be planned here: {error}")
            continue
        plans.append(found)
        if len(configs) > 1:
            click.echo(f"{head}: {len(found.fits)} fits: {_counts(found)}")
        if listed:
            print_plan(found)
    if not plans:
        raise unplanned[0]
    for message in known.absent.values():
        click.echo(f"files missing: {message}")
    print_forecast(plans, store, known, gpu=_on_gpu(configs[0]))
    if any(plan.sweep.frozen for plan in plans):
        _print_extractions(plans, known, configs[0])


def _print_extractions(plans: list[Any], known: Any, config: Any) -> None:
    from benchmark.fit.devices import resolve_device
    from benchmark.spec.weights import task_file
    from benchmark.sweep.extraction import extractions

    device = resolve_device(config.device)
    for found in extractions(plans, known, device, task_file(config.weights)):
        click.echo(f"{found.text} (beside the hours above)")


def _on_gpu(config: Any) -> bool:
    from benchmark.fit.devices import resolve_device

    return bool(config.gpus) or resolve_device(config.device).startswith("cuda")


def _counts(plan: Any) -> str:
    states = Counter("views missing" if planned.extend else planned.state for planned in plan.fits)
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def print_forecast(plans: list[Any], store: Any, known: Any, *, gpu: bool = False) -> None:
    """What the plans take together: fits, hours and disk by data set, then all. gpu: on one, not on a CPU core."""
    from benchmark.sweep.forecast import KnownTimes, decoded_size, forecast
    from benchmark.sweep.gpu_speed import GPU

    names = {planned.fit.dataset for plan in plans for planned in plan.fits if planned.fit is not None}
    images = {name: known.images(name) for name in names}
    times = KnownTimes(store, known.root)
    expected = functools.partial(forecast, plans, store, images, known.root, known=times)
    rows = expected(gpu=gpu)
    table = f"by what was measured on {GPU}" if gpu else "by a table of one CPU core"
    for row in rows:
        basis = f"{row.measured} of them by records here" if row.measured else table
        if row.elsewhere:
            basis += f", {row.elsewhere} by records of other data sets' vectors"
        basis += _as_images(row.as_images)
        absent = row.dataset in known.absent
        decoded = decoded_size(known.info(row.dataset), images[row.dataset]) if absent else 0
        click.echo(
            f"{row.dataset}: {row.fits} different fits, {row.to_run} to run; {hours(row.seconds)} "
            f"of one worker ({basis}), {row.size / 1e9:,.2f} GB on disk"
            + (
                f", about {row.memory / 1e9:,.1f} GB of memory for a closed-form fit"
                if row.memory > 5e8
                else ""
            )
            + (f", and {decoded / 1e9:,.2f} GB of decoded images once" if decoded else "")
            + ("; its files are missing" if absent else "")
        )
    seconds, size = sum(row.seconds for row in rows), sum(row.size for row in rows)
    there = [] if gpu else expected(gpu=True)
    on_gpu, basis = sum(row.seconds for row in there), _as_images(sum(row.as_images for row in there))
    click.echo(
        f"all: {sum(row.fits for row in rows)} different fits on {counted(len(rows), 'data set')}, "
        f"{sum(row.to_run for row in rows)} to run; "
        f"{hours(seconds)} of one worker, {size / 1e9:,.2f} GB; extra views and curves not counted"
        + ("" if gpu else f"; on {GPU} {hours(on_gpu)}, one fit at a time, by what was measured there{basis}")
    )


def _as_images(count: int) -> str:
    """What is said of fits on vectors, which no GPU has been timed on."""
    return f", {count} of them on vectors, untimed there, as if of small images" if count else ""


def print_plan(plan: Any) -> None:
    """One line for each fit, the notes, and how many would run."""
    for planned in plan.fits:
        state = (
            f"{planned.state}, runs again" if planned.run and planned.state != "planned" else planned.state
        )
        state = "views missing" if planned.extend else state
        click.echo(f"{state:<18} {planned.label}{': ' + planned.reason if planned.reason else ''}")
    for note in plan.notes:
        click.echo(f"note: {note}")
    views = sum(len(planned.views) for planned in plan.fits if planned.run)
    click.echo(
        f"{len(plan.fits)} fits: {_counts(plan)}; {len(plan.to_run)} would run"
        + (f", {plan.counts()['absent']} more once their files are there" if plan.counts()["absent"] else "")
        + (f", {views:,} views to evaluate at most" if views else "")
    )


def _command(store: Any, uri: str, *words: str) -> str:
    """A command of this project over a results folder and its tracker, to be typed as it is."""
    from benchmark.store.mlflow_address import default_uri, public

    command = _bare(store, *words)
    return (
        command
        if uri == default_uri(store.root)
        else f"{command} {shlex.join(['--tracking-uri', public(uri)])}"
    )


def _bare(store: Any, *words: str) -> str:
    """A command over a results folder."""
    return shlex.join(["python", "-m", "benchmark", *words, "--results", str(store.root)])


def _fit_lines(records: Any, store: Any) -> list[str]:
    """The ids of a run's fits, which `show` and `verify` take."""
    found = [f"  {record.fit_id}  {record.spec.label}: {record.state}" for record in records]
    rest = [f"  and {len(found) - _NAMED} more, in `status --json`"] if len(found) > _NAMED else []
    told = f"fits (`{_bare(store, 'show', 'ID')}`, or `verify ID`):"
    return [*([told] if found else []), *map(plain, found[:_NAMED]), *rest]


def print_tracebacks(records: Any) -> None:
    """Of every failed fit, its traceback; or that its record has none."""
    for record in records:
        if record.failure is not None:
            click.echo(f"{record.fit_id}  {plain(record.spec.label)}: {plain(record.failure.message)}")
            click.echo(trace_lines(record.failure.traceback), nl=False)


def print_summary(console: Any, plan: Any, summary: Any, store: Any, saved: Path, uri: str) -> None:
    """The table of scores, then what ran, failed, was left undone, and where it all lies."""
    from benchmark.report.run_summary import captions
    from benchmark.report.run_summary import summary as lines_of
    from benchmark.store.mlflow_address import public

    if summary.records:
        for part in lines_of(summary.records, console.width):
            console.print(part)
    for line in captions(summary.records):
        click.echo(f"  {line}")
    for planned in plan.fits:
        if planned.state == "skipped" or (planned.state == "stale" and not planned.run):
            click.echo(f"  {planned.state}: {planned.label}: {planned.reason}")
    click.echo(
        f"{counted(summary.ran, 'fit')} run, {summary.failed} of them failed; "
        f"{plan.counts()['done']} were done before"
    )
    if summary.failed:
        click.echo(f"why: {_bare(store, 'show', 'ID', '--traceback')}; --retry failed runs them again")
    left = sum(planned.state == "failed" and not planned.run for planned in plan.fits)
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
    for line in _fit_lines(summary.records, store):
        click.echo(line)
    click.echo(f"records: {store.root}/   sweep: {saved}")
    if uri != "none":
        click.echo(f"MLflow:  {public(uri)}   (open with: {_command(store, uri, 'ui')})")
    if summary.untracked:
        click.echo(
            f"{summary.untracked} fits are not in MLflow; send them: {_command(store, uri, 'track', '--sync')}",
            err=True,
        )
    if any(record.state == "done" for record in summary.records):
        click.echo(f"report:  {_bare(store, 'report')}   (then open {store.root / 'report' / 'report.html'})")
    if summary.interrupted:
        trained = sum(planned.run and not planned.extend for planned in plan.fits)
        still = counted(max(0, trained - summary.ran - summary.elsewhere), "fit")
        click.echo(
            f"stopped by {summary.interrupted} with {still} to run; the same command continues where it stopped",
            err=True,
        )
