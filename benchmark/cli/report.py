"""`benchmark report`: tables and figures from records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli._options import results_option

if TYPE_CHECKING:
    from benchmark.report.figures.style import Width


@click.command(name="report")
@results_option
@click.option(
    "--out", metavar="DIR", help="Where to write.  [<results>/report; with --width W <results>/report-W]"
)
@click.option("--only", metavar="A,B", help="These artifacts alone, such as table1,figure3.  [all]")
@click.option(
    "--formats",
    metavar="A,B",
    help="Of png (always), pdf, svg (in the page, else it shows the PNG files), parquet.  [all]",
)
@click.option(
    "--width",
    type=click.Choice(["column", "page"]),
    help="For a two-column paper: figures 3.3 or 6.9 inches wide with 8 pt text, LaTeX tables that fit, and "
    "paper.tex with all of them.",
)
@click.option("--list", "list_only", is_flag=True, help="Name the artifacts and what each needs.")
@click.option(
    "--check",
    metavar="[DIR]",
    is_flag=False,
    flag_value="",
    help="Make the report in DIR again and say what differs.  [<results>/report]",
)
def command(
    results: str,
    out: str | None,
    only: str | None,
    formats: str | None,
    width: Width | None,
    list_only: bool,
    check: str | None,
) -> int:
    """Render tables and figures from a results folder."""
    from benchmark.report.artifact import choose

    if list_only:
        for one in choose(only):
            names = ", ".join((one.name, *one.aliases))
            click.echo(f"{names:<24} {one.title}; needs {one.needs} (run --suite {one.suite})")
        return 0
    from benchmark.store.store import existing

    root = existing(results).root
    if check is not None:
        return _check(root, Path(check) if check else root / "report")
    from benchmark.report import render
    from benchmark.report.write import parse_formats

    folder = Path(out) if out else root / (f"report-{width}" if width else "report")
    for path in render(root, folder, only, formats=parse_formats(formats), width=width):
        click.echo(str(path))
    return 0


def _check(results: Path, folder: Path) -> int:
    import tempfile

    from benchmark.report import check

    with tempfile.TemporaryDirectory() as scratch:
        problems = check(results, folder, Path(scratch))
    for problem in problems:
        click.echo(problem)
    click.echo(f"{folder}: {f'{len(problems)} files differ' if problems else 'made again, nothing differs'}")
    return 1 if problems else 0
