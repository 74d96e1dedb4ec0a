"""The paper's claims beside what the records say of them."""

from __future__ import annotations

from benchmark.report.artifact import Artifact
from benchmark.report.claims.judge import RECONSTRUCTION, RULE, SMALLEST, Finding, judge
from benchmark.report.claims.paper import CLAIMS
from benchmark.report.context import Context
from benchmark.report.statistics.effect import p_text
from benchmark.report.tables.cells import Drawn, Gap, Sheet, number_cell, text_cell


def build(ctx: Context) -> Drawn:
    """One table of claims and one of their comparisons; neither where no record bears on any claim."""
    findings = judge(ctx, CLAIMS)
    gaps = tuple(one.gap for one in findings if one.gap is not None)
    if not any(one.units for one in findings):
        return Drawn((), (), gaps[:1])
    open_ = [one.claim.name for one in findings if one.gap is not None and one.units]
    if open_:
        plan = Gap(
            f"a verdict on {', '.join(open_)}: one suite file of the fits that would decide", ctx.plan_command
        )
        gaps = (plan, *(one.gap for one in findings if one.gap is not None and not one.units))
    body = []
    for one in findings:
        body.append(
            (
                text_cell(one.claim.name),
                text_cell(one.claim.statement),
                text_cell(_verdict(one)),
                number_cell(one.found.difference if one.found else None),
                text_cell(one.found.interval if one.found else "–"),
                text_cell(p_text(one.p, "")),
                number_cell(one.used, digits=0),
                text_cell(one.alone or "–"),
            )
        )
    stated = [
        f"{one.claim.name}: stated by {one.claim.stated}; effect: {one.claim.effect}" for one in findings
    ]
    stated += [f"{one.claim.name}, the paper's own words: {one.quoted}" for one in findings if one.quoted]
    claims = Sheet(
        name="claims",
        title="The paper's claims, tested on these records",
        head=(
            "claim",
            "statement",
            "verdict",
            "effect",
            "95 % interval",
            "p (Holm)",
            "comparisons",
            "each alone",
        ),
        rows=tuple(body),
        notes=(RECONSTRUCTION, f"{RULE} Smallest effect of interest: {SMALLEST:g}.", *stated),
        keys=2,
        metric="effect",
    )
    return Drawn((claims, _tests(findings)), (), gaps)


def _verdict(one: Finding) -> str:
    """The verdict, and what the mean behind it hides."""
    return "; ".join(filter(None, [one.verdict, one.hides])) if one.units else "not tested"


def _tests(findings: list[Finding]) -> Sheet:
    rows = []
    for one in findings:
        for unit in one.units:
            found = unit.found
            interval = found.interval if found else "–"
            seeds = number_cell(len(found.seeds) if found else 0, digits=0)
            effect = number_cell(found.difference if found else None)
            rows.append(
                (
                    text_cell(one.claim.name),
                    text_cell(unit.what),
                    effect,
                    text_cell(interval),
                    seeds,
                    text_cell(unit.verdict),
                )
            )
    head = ("claim", "test", "effect", "95 % interval", "seeds", "verdict")
    title = "Single comparisons behind the claims, p adjusted over those of a claim"
    return Sheet("claim-tests", title, head, tuple(rows), keys=2, metric="effect")


ARTIFACT = Artifact(
    name="claims",
    title="The paper's claims",
    needs="the paper's method beside others, three seeds each",
    suite="paper",
    order=12,
    build=build,
)
