"""`benchmark claims`: the paper's claims tested on records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command(name="claims")
@click.option(
    "--results", default="results/runs", metavar="DIR", show_default=True, help="The results folder."
)
@click.option(
    "--smallest-effect",
    type=click.FloatRange(min=0, max=1),
    default=0.01,
    metavar="X",
    show_default=True,
    help="Effects whose interval lies within X of 0 are equivalent (X in mAP).",
)
@click.option(
    "--plan", is_flag=True, help="Say how many seeds would decide each, and write their fits as a suite."
)
@click.option("--out", metavar="FILE", help="With --plan: the suite file.  [claims-plan.toml]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(results: str, smallest_effect: float, plan: bool, out: str | None, as_json: bool) -> int:
    """Test the paper's claims on records: supported, contradicted, equivalent or undecided, and what is to run."""
    from benchmark.errors import InputError
    from benchmark.files.rounding import rounded_all
    from benchmark.report.claims.judge import RECONSTRUCTION, RULE, as_dict, judge
    from benchmark.report.claims.paper import CLAIMS
    from benchmark.report.context import Context
    from benchmark.store.store import Store

    if (out is not None and not plan) or (plan and as_json):
        raise InputError("--out goes with --plan, and --json does not")
    store = Store(Path(results))
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {results!r} holds no records; run something first")
    ctx = Context(store, records, set())
    findings = judge(ctx, CLAIMS, smallest_effect)
    if plan:
        return _plan(ctx, findings, smallest_effect, out)
    if as_json:
        click.echo(
            json.dumps(
                {"note": RECONSTRUCTION, "claims": rounded_all([as_dict(one) for one in findings])}, indent=1
            )
        )
        return 0
    click.echo(f"{RECONSTRUCTION}\n{RULE} Smallest effect of interest: {smallest_effect:g}.")
    for one in findings:
        counts = ", ".join(f"{count} {name}" for name, count in one.counts.items())
        click.echo(f"\n{one.claim.name}: {one.verdict.upper()}: {one.text}\n  {one.claim.statement}")
        click.echo(f"  stated by {one.claim.stated}\n  effect: {one.claim.effect}")
        if one.units:
            click.echo(f"  single comparisons ({counts}), p adjusted over them:")
        for unit in one.units:
            click.echo(f"  - {unit.text}")
        if one.gaps and one.units:
            click.echo(f"  {len(one.gaps)} comparisons lack seeds")
        for gap in () if one.units else one.gaps:
            click.echo(f"  still to run, for {gap.what}:\n      {gap.command}")
    if any(one.gaps and one.units for one in findings):
        click.echo(
            f"\nwhat would decide them, as one suite: python -m benchmark claims --results {results} --plan"
        )
    return 0


#: What a file of `--plan` begins with: another file is never overwritten.
_TITLE = "Seeds that would decide claims"


def _plan(ctx: Any, findings: list[Any], smallest: float, out: str | None) -> int:
    """Print what each claim lacks, write one suite of the missing fits, and say what they take."""
    import tomli_w

    from benchmark.cli._run_text import print_plans
    from benchmark.errors import InputError
    from benchmark.report.claims.power import outlooks, suite_of
    from benchmark.spec import suites

    found = outlooks(findings, smallest)
    for one in found:
        click.echo(f"{one.name}: {one.text}")
    keys, notes = suite_of(found, f"{_TITLE} of {ctx.store.root}")
    for note in notes:
        click.echo(f"note: {note}")
    if not keys["parts"]:
        click.echo("no fit to run: no suite file is written")
        return 0
    path = Path(out or "claims-plan.toml")
    keys = {"title": keys.pop("title"), "results": str(ctx.store.root), **keys}
    text = tomli_w.dumps(_with_weights(ctx, keys))
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(f'title = "{_TITLE}'):
            raise InputError(f"--out {str(path)!r} is there and no plan of claims: name another file")
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {str(path)!r} cannot be written: {reason}") from error
    print_plans(suites.resolve_all(str(path), {}), frozenset(), listed=False, without_data=True)
    click.echo(f"run them: python -m benchmark run --suite {path}")
    return 0


def _with_weights(ctx: Any, keys: dict[str, Any]) -> dict[str, Any]:
    """The weights file of the records in the place of its placeholder, where it lies where it lay."""
    from benchmark.errors import InputError
    from benchmark.spec import is_published
    from benchmark.spec.command import WEIGHTS_FILE
    from benchmark.store.weights_used import weights_used

    files = {r.spec.weights: r for r in ctx.records if not is_published(r.spec.weights)}
    if len(files) != 1:
        return keys
    try:
        place = weights_used(ctx.store, *files.values())
    except InputError:
        return keys
    parts = [
        {key: place if value == WEIGHTS_FILE else value for key, value in part.items()}
        for part in keys["parts"]
    ]
    return {**keys, "parts": parts}
