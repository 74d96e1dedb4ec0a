"""`benchmark claims`: the paper's claims tested on records."""

from __future__ import annotations

import json
from pathlib import Path

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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(results: str, smallest_effect: float, as_json: bool) -> int:
    """Test the paper's claims on records: supported, contradicted, equivalent or undecided, and what is to run."""
    from benchmark.errors import InputError
    from benchmark.files.rounding import rounded_all
    from benchmark.report.claims.judge import RECONSTRUCTION, RULE, as_dict, judge
    from benchmark.report.claims.paper import CLAIMS
    from benchmark.report.context import Context
    from benchmark.store.store import Store

    store = Store(Path(results))
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {results!r} holds no records; run something first")
    ctx = Context(store, records, set())
    findings = judge(ctx, CLAIMS, smallest_effect)
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
        for gap in one.gaps:
            click.echo(f"  still to run, for {gap.what}:\n      {gap.command}")
    return 0
