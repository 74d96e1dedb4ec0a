"""The paper's claims as statements over records: what each asserts, and what the records say of it.

The statements are those of the paper's public summary (arXiv 2210.04288, abstract and captions), in our words. What
is tested is this repository's reconstruction of the method under the recorded protocols, not the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.report.context import Context
from benchmark.report.statistics.compare import Comparison
from benchmark.report.tables.cells import Gap

Verdict = Literal["supported", "contradicted", "undecided"]

SUBJECT = "coophash"
#: Fewer common seeds than this decide nothing: one training may be luck.
MIN_SEEDS = 3
#: More seeds than this are not asked for: what they cannot show is too small to matter here.
MAX_SEEDS = 12
RECONSTRUCTION = (
    "The tested model is this repository's reconstruction: the paper has no public code, and its summary states "
    "neither hyper-parameters nor networks."
)


@dataclass(frozen=True)
class Unit:
    """One test of a claim: a data set, a code length and an opponent.

    found: effect (above 0: for the claim) with its 95 % interval; None when nothing could be compared. needed: the
    command of the runs that the verdict still lacks, or empty.
    """

    what: str
    found: Comparison | None
    needed: str = ""

    @property
    def verdict(self) -> Verdict:
        """By the interval, from `MIN_SEEDS` common seeds on."""
        if self.found is None or len(self.found.seeds) < MIN_SEEDS:
            return "undecided"
        if self.found.low > 0:
            return "supported"
        return "contradicted" if self.found.high < 0 else "undecided"

    @property
    def text(self) -> str:
        """The unit in one line."""
        if self.found is None:
            return f"{self.what}: no common codes to compare"
        few = len(self.found.seeds) < MIN_SEEDS
        why = f" ({len(self.found.seeds)} of {MIN_SEEDS} seeds)" if few else ""
        return f"{self.what}: {self.found.text}: {self.verdict}{why}"


@dataclass(frozen=True)
class Claim:
    """A declared statement. `stated`: whose words it is. `effect`: what the number of a unit is. `units` finds the
    tests that the records allow; `suite` makes the records of those they do not.
    """

    name: str
    statement: str
    stated: str
    effect: str
    suite: str
    units: Callable[[Context], Sequence[Unit]]


@dataclass(frozen=True)
class Finding:
    """What became of a claim."""

    claim: Claim
    verdict: Verdict
    units: tuple[Unit, ...]
    gaps: tuple[Gap, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """Units by verdict."""
        names: tuple[Verdict, ...] = ("supported", "contradicted", "undecided")
        return {name: sum(unit.verdict == name for unit in self.units) for name in names}


def judge(ctx: Context, claim: Claim) -> Finding:
    """Test one claim. It holds for every unit or not at all: one contradiction contradicts it."""
    units = tuple(claim.units(ctx))
    gaps = [Gap(unit.what, unit.needed) for unit in units if unit.needed and unit.verdict == "undecided"]
    if not units:
        gaps.append(ctx.no_records(f"both sides of claim {claim.name!r}", claim.suite))
    return Finding(claim, _verdict(units), units, tuple(gaps))


def _verdict(units: Sequence[Unit]) -> Verdict:
    verdicts = {unit.verdict for unit in units}
    if "contradicted" in verdicts:
        return "contradicted"
    return "supported" if verdicts == {"supported"} else "undecided"


def as_dict(finding: Finding) -> dict[str, object]:
    """A finding, JSON-ready."""
    units = [
        {
            "what": unit.what,
            "verdict": unit.verdict,
            "effect": unit.found.difference if unit.found else None,
            "low": unit.found.low if unit.found else None,
            "high": unit.found.high if unit.found else None,
            "p": unit.found.p if unit.found else None,
            "seeds": list(unit.found.seeds) if unit.found else [],
            "queries": unit.found.queries if unit.found else 0,
            "needed": unit.needed,
        }
        for unit in finding.units
    ]
    claim = finding.claim
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "stated": claim.stated,
        "effect": claim.effect,
        "verdict": finding.verdict,
        "counts": finding.counts,
        "units": units,
        "runs_needed": [{"what": gap.what, "command": gap.command} for gap in finding.gaps],
    }


def seeds_lacking(found: Comparison | None) -> list[int]:
    """Which seeds a verdict lacks, the lowest that are not there: those up to `MIN_SEEDS`; where the interval
    still holds 0, as many again, up to `MAX_SEEDS` in all.
    """
    have = set(found.seeds) if found else set[int]()
    wanted = MIN_SEEDS - len(have)
    if found is not None and wanted <= 0 and found.low <= 0 <= found.high:
        wanted = min(len(have), MAX_SEEDS - len(have))
    spare = [seed for seed in range(MAX_SEEDS + len(have)) if seed not in have]
    return spare[: max(0, wanted)]
