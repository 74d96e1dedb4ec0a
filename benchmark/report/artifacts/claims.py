"""The paper's claims beside what the records say of them."""

from __future__ import annotations

from benchmark.report.artifact import Artifact
from benchmark.report.claims.judge import MIN_SEEDS, RECONSTRUCTION, Finding, judge
from benchmark.report.claims.paper import CLAIMS
from benchmark.report.context import Context
from benchmark.report.tables.cells import Drawn, Sheet, number_cell, text_cell


def build(ctx: Context) -> Drawn:
    """One table of claims, and one of every single test."""
    findings = [judge(ctx, claim) for claim in CLAIMS]
    body = []
    for one in findings:
        cells = (text_cell(one.claim.name), text_cell(one.claim.statement), text_cell(one.verdict))
        body.append((*cells, *(number_cell(count, digits=0) for count in one.counts.values())))
    sheets = [
        Sheet(
            name="claims",
            title="The paper's claims, tested on these records",
            head=("claim", "statement", "verdict", "supported", "contradicted", "undecided"),
            rows=tuple(body),
            notes=(
                RECONSTRUCTION,
                *(
                    f"{one.claim.name}: stated by {one.claim.stated}; effect: {one.claim.effect}"
                    for one in findings
                ),
                f"a test decides from {MIN_SEEDS} common seeds on, when its 95 % interval leaves out 0; a "
                f"claim holds when "
                "every test supports it, and is contradicted by one that does; no correction for the number "
                "of tests",
            ),
            keys=2,
            metric="count",
        )
    ]
    if any(one.units for one in findings):
        sheets.append(_tests(findings))
    return Drawn(tuple(sheets), (), tuple(gap for one in findings for gap in one.gaps))


def _tests(findings: list[Finding]) -> Sheet:
    rows = []
    for one in findings:
        for unit in one.units:
            found = unit.found
            interval = f"[{found.low:+.4f}, {found.high:+.4f}]" if found else "–"
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
    return Sheet("claim-tests", "Every test of the claims", head, tuple(rows), keys=2, metric="effect")


ARTIFACT = Artifact(
    name="claims",
    title="The paper's claims",
    needs="the records of the other artifacts, three seeds each",
    suite="paper",
    order=5,
    build=build,
)
