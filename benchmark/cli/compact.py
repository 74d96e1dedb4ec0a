"""`benchmark compact`: a results folder small enough to commit."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli._options import results_option


@click.command(name="compact")
@results_option
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    help="Where to write; the results folder itself loses what is left out.",
)
@click.option("--only", metavar="A,B", help="The artifacts that its report will hold.  [all]")
def command(results: str, out: str, only: str | None) -> int:
    """Write a results folder again, small: a report of the same artifacts says the same of both.

    Records keep every field. Of codes, each query's average precision and a digest of the rest stay, whole codes
    only where an artifact reads them or the database is small; training curves keep some sixty rows; the codes of
    views, weights and logs are left out.
    """
    from benchmark.report.compact import compact
    from benchmark.store.store import existing

    found = compact(existing(results).root, Path(out), only)
    for kind in sorted(found.before, key=lambda kind: -found.before[kind]):
        before, after = found.before[kind], found.after[kind]
        click.echo(f"{kind:<12} {before / 1e6:9.3f} MB -> {after / 1e6:9.3f} MB")
    before, after = sum(found.before.values()), sum(found.after.values())
    click.echo(f"{'in all':<12} {before / 1e6:9.3f} MB -> {after / 1e6:9.3f} MB")
    click.echo(f"{found.fits} fits, {found.whole} with whole codes, in {out}")
    return 0
