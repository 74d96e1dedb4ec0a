"""`benchmark check`: does a method keep the promises of the contract?"""

from __future__ import annotations

import time
from typing import Any

import click

from benchmark.cli._text import trace_lines


@click.command(name="check")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("--all", "everything", is_flag=True, help="Every method, installed packages' included.")
@click.option("--quiet", is_flag=True, help="Print a method's lines only where something failed.")
@click.option("--traceback", is_flag=True, help="Under a failed check, where the method raised.")
def command(names: tuple[str, ...], everything: bool, quiet: bool, traceback: bool) -> int:
    """Run the list of checks that every method must pass, on tiny separable data.

    One line a check: what was expected and what was found. Exit code 1 when a check fails.
    """
    from benchmark import registry

    if bool(names) == everything:
        raise click.UsageError("name the methods to check, or give --all")
    entries = (
        registry.entries("methods") if everything else [registry.find("methods", name) for name in names]
    )
    begun = time.monotonic()
    bad = [entry.name for entry in entries if not _check(entry, quiet, traceback)]
    click.echo(
        f"{len(entries)} methods checked, {len(entries) - len(bad)} conform"
        f"{'; not: ' + ', '.join(bad) if bad else ''} ({time.monotonic() - begun:.0f} s)"
    )
    return 1 if bad or not entries else 0


def _check(entry: Any, quiet: bool, traceback: bool) -> bool:
    from benchmark import registry
    from benchmark.authoring.conformance import check_method, passed
    from benchmark.authoring.conformance.runner import Result

    def show(result: Result) -> None:
        click.echo(f"  {result.line()}")
        if traceback and result.trace:
            click.echo(trace_lines(result.trace), nl=False)

    if entry.error:
        click.echo(f"{entry.name} ({entry.origin}): BROKEN: {entry.error}")
        if traceback:
            click.echo(trace_lines(entry.trace), nl=False)
        return False
    if not quiet:
        click.echo(f"{entry.name} ({entry.origin})")
    begun = time.monotonic()
    report = (lambda result: None) if quiet else show
    results = check_method(registry.method_class(entry.name), entry.name, entry.preset, report=report)
    good = passed(results)
    if quiet:
        click.echo(f"{'pass' if good else 'FAIL'}  {entry.name} ({time.monotonic() - begun:.1f} s)")
        for result in results:
            if result.state not in ("pass", "known"):
                show(result)
    return good
