"""`benchmark claims`: the paper's claims tested on records."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from benchmark.cli._options import results_option

DEFAULT_OUT = "claims-plan.toml"


@click.command(name="claims")
@results_option
@click.option(
    "--smallest-effect",
    type=click.FloatRange(min=0, max=1),
    default=0.01,
    metavar="X",
    show_default=True,
    help="Effects whose interval lies within X of 0 are equivalent (X in mAP).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--plan", "plan_only", is_flag=True, help="Say how many seeds would decide; write their suite file."
)
@click.option("--out", metavar="FILE", help=f"With --plan, the suite file to write.  [{DEFAULT_OUT}]")
@click.option(
    "--max-seeds", type=click.IntRange(min=3), metavar="N", help="With --plan, ask for no more seeds.  [30]"
)
def command(
    results: str,
    smallest_effect: float,
    as_json: bool,
    plan_only: bool,
    out: str | None,
    max_seeds: int | None,
) -> int:
    """Test the paper's claims on records: supported, contradicted, equivalent or undecided, and what is to run."""
    from benchmark.errors import InputError
    from benchmark.report.claims.judge import judge
    from benchmark.report.claims.paper import CLAIMS
    from benchmark.report.context import Context
    from benchmark.store.store import Store

    for flag, value in (("--out", out), ("--max-seeds", max_seeds)):
        if value is not None and not plan_only:
            raise InputError(f"{flag} belongs to --plan")
    if plan_only and as_json:
        raise InputError("--plan writes a suite file and prints lines: it takes no --json")
    store = Store(Path(results))
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {results!r} holds no records; run something first")
    ctx = Context(store, records, set())
    findings = judge(ctx, CLAIMS, smallest_effect)
    if plan_only:
        return _plan(ctx, findings, smallest_effect, Path(out or DEFAULT_OUT), max_seeds)
    return _print_json(findings) if as_json else _print(findings, smallest_effect)


def _print_json(findings: list[Any]) -> int:
    from benchmark.files.rounding import rounded_all
    from benchmark.report.claims.judge import RECONSTRUCTION, as_dict

    claims = rounded_all([as_dict(one) for one in findings])
    click.echo(json.dumps({"note": RECONSTRUCTION, "claims": claims}, indent=1))
    return 0


def _print(findings: list[Any], smallest_effect: float) -> int:
    from benchmark.report.claims.judge import RECONSTRUCTION, RULE

    click.echo(f"{RECONSTRUCTION}\n{RULE} Smallest effect of interest: {smallest_effect:g}.")
    for one in findings:
        counts = ", ".join(f"{count} {name}" for name, count in one.counts.items())
        click.echo(f"\n{one.claim.name}: {one.verdict.upper()}: {one.text}\n  {one.claim.statement}")
        click.echo(f"  stated by {one.claim.stated}\n  effect: {one.claim.effect}")
        if one.quoted:
            click.echo(f"  the paper's own words: {one.quoted}")
        if one.units:
            click.echo(f"  single comparisons ({counts}), p adjusted over them:")
        for unit in one.units:
            click.echo(f"  - {unit.text}")
        if one.gap is not None and not one.units:
            click.echo(f"  still to run, for {one.gap.what}:\n      {one.gap.command}")
    plans = {one.gap.command: None for one in findings if one.gap is not None and one.units}
    for line in plans:
        click.echo(f"\nwhat would decide the undecided, as one suite file:\n      {line}")
    return 0


def _plan(ctx: Any, findings: list[Any], smallest: float, out: Path, most: int | None) -> int:
    """Write the suite file, and say what it holds as `run --suite FILE --plan` would."""
    from benchmark.cli._run_text import print_plans
    from benchmark.errors import InputError
    from benchmark.report.claims.judge import SUBJECTS
    from benchmark.report.claims.plan import HEADER, MAX_SEEDS, plan_claims, write_suite
    from benchmark.spec import suites

    if not any(one.units for one in findings):
        there = any(record.spec.method in SUBJECTS for record in ctx.records)
        without = "nothing that the paper's method can be compared with"
        lacks = without if there else f"no record of {' or '.join(SUBJECTS)}"
        command = ctx.suite_command("paper-main-small")
        raise InputError(
            f"results folder {str(ctx.store.root)!r} holds {lacks}, so no claim can be planned; begin with: "
            f"{command}"
        )
    steps = plan_claims(ctx, findings, smallest, MAX_SEEDS if most is None else most)
    for step in steps:
        click.echo(step.text)
    for line in dict.fromkeys(line for step in steps for line in step.left_out):
        click.echo(f"left out: {line}")
    text, count = write_suite(ctx, steps)
    if not count:
        click.echo("no suite file is written: nothing to run")
        return 0
    _write(out, text, HEADER)
    again = shlex.join(["python", "-m", "benchmark", "run", "--suite", str(out)])
    click.echo(f"{count} fits in {out}; run them: {again}")
    print_plans(suites.resolve_all(str(out), {}), frozenset(), listed=False, without_data=True)
    return 0


def _write(out: Path, text: str, header: str) -> None:
    """Write a plan; in the place of an earlier one, of nothing else. Raises InputError."""
    from benchmark.errors import InputError
    from benchmark.files.write import write_file

    try:
        if out.exists() and not out.read_bytes().startswith(f"# {header}".encode()):
            raise InputError(f"--out {str(out)!r} is there and no earlier plan; name another file")
        write_file(out, text.encode())
    except OSError as error:
        raise InputError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error
