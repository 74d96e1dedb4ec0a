"""`benchmark status`: what a results folder holds."""

from __future__ import annotations

import json
from typing import Any

import click

from benchmark.cli._options import results_option
from benchmark.cli._text import counted, hours, plain

#: Finished fits are named up to so many.
_NAMED = 20


@click.command(name="status")
@results_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(results: str, as_json: bool) -> None:
    """Count what a results folder holds, with the failures' reasons."""
    from benchmark.files.rounding import rounded_all
    from benchmark.store.store import existing
    from benchmark.sweep.status import collect

    found = collect(existing(results).root)
    if as_json:
        click.echo(json.dumps(rounded_all(found), indent=2))
    else:
        _print(found)


def _how_far(row: dict[str, Any]) -> str:
    """`update 120 of 468, 0:45 left, process 71 on node1`."""
    training = row.get("phase") == "train"
    parts = [
        f"update {row['step']:,} of {row['steps']:,}"
        if training and row.get("steps")
        else row.get("phase", "")
    ]
    if row.get("seconds_left") is not None:
        parts.append(f"{hours(row['seconds_left'])} left")
    return ", ".join(part for part in (*parts, f"process {row['pid']} on {row['host']}") if part)


def _print(found: dict[str, Any]) -> None:
    counts = found["counts"]
    click.echo(", ".join(f"{counts[state]} {state}" for state in counts if counts[state]) or "no fits")
    for row in found["finished"][:_NAMED]:
        click.echo(plain(f"  done: {row['label']} ({row['fit_id']})"))
    if len(found["finished"]) > _NAMED:
        click.echo(f"  and {len(found['finished']) - _NAMED} more done, in `status --json`")
    for row in found["running"]:
        click.echo(plain(f"  running: {row['label']} ({row['fit_id']}): {_how_far(row)}"))
    titles = (("failed", "failures"), ("stale", "stale"), ("unfinished", "unfinished"))
    for title, key in (*titles, ("done", "views_missing")):
        for row in found[key]:
            reason = f": {row['reason']}" if row.get("reason") else ""
            click.echo(plain(f"  {title}: {row['label']} ({row['fit_id']}){reason}"))
    for text in found["unreadable"]:
        click.echo(plain(f"  unreadable: {text}"))
    unmeasured, seconds = found["planned_unmeasured"], found["seconds_left"]
    if seconds is not None:
        planned, busy = counts["planned"] - unmeasured, counts["running"]
        waiting = f"{counted(planned, 'planned fit')}, by what such fits took here" if planned else ""
        parts = filter(None, ["what runs now" if busy else "", waiting])
        click.echo(f"{hours(seconds)} left for {' and '.join(parts)}")
    if unmeasured:
        click.echo(
            f"not timed: {counted(unmeasured, 'planned fit')} of methods that finished none on their data set here"
        )
