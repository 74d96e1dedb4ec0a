"""The paper's claims as statements over records: what each asserts, and what the records say of it.

The statements are those of the paper's public summary (arXiv 2210.04288, abstract and captions), in our words. What
is tested is this repository's reconstruction of the method under the recorded protocols, not the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from benchmark.report.context import Context
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, Changes, Comparison, pooled_effect
from benchmark.report.statistics.ranking import holm
from benchmark.report.tables.cells import Gap
from benchmark.store.record import Record

Verdict = Literal["supported", "contradicted", "equivalent", "undecided"]

SUBJECT = "coophash"
#: What a claim is tested on, the first that a group of records has: the method itself, or its form for vectors.
SUBJECTS = (SUBJECT, "coophash-vectors")
#: The smallest effect of interest: an effect whose whole interval lies within it is as good as none.
SMALLEST = 0.01
Key = TypeVar("Key", bound=Hashable)
RECONSTRUCTION = (
    "The tested model is this repository's reconstruction: the paper has no public code, and its summary states "
    "neither hyper-parameters nor networks. `coophash-vectors`, its form for feature vectors, is built here."
)
RULE = (
    "Each claim has one effect: the mean over data sets, code lengths, opponents and seeds, with its 95 % interval "
    "(hierarchical bootstrap: seeds within data sets, then queries; Student's t for few seeds) and a p-value that "
    f"Holm adjusts over the claims. From {MIN_SEEDS} seeds on: supported or contradicted at p < {LEVEL}, "
    "equivalent where the interval lies within the smallest effect of interest, else undecided."
)


@dataclass(frozen=True)
class Unit:
    """One comparison of a claim: a data set, a code length and an opponent.

    changes: what it measured (above 0: for the claim), by seed; empty when nothing could be compared. records:
    all that it rests on; views: what they need beside the clean one. p: Holm-adjusted over those of its claim.
    """

    what: str
    dataset: str
    changes: Changes
    found: Comparison | None
    records: tuple[Record, ...] = ()
    views: tuple[str, ...] = ()
    p: float | None = None
    verdict: Verdict = "undecided"

    @property
    def text(self) -> str:
        """The unit in one line."""
        if self.found is None:
            return f"{self.what}: no common codes to compare"
        few = len(self.found.seeds) < MIN_SEEDS
        why = f" ({len(self.found.seeds)} of {MIN_SEEDS} seeds)" if few else ""
        return f"{self.what}: {replace(self.found, p=_or_nan(self.p)).text}: {self.verdict}{why}"


@dataclass(frozen=True)
class Claim:
    """A declared statement. `stated`: whose words it is. `effect`: what the number of a unit is. `units` finds the
    comparisons that the records allow; `suite` makes the records of those they do not. `quoted` tests the
    paper's own words where they say more.
    """

    name: str
    statement: str
    stated: str
    effect: str
    suite: str
    units: Callable[[Context], Sequence[Unit]]
    quoted: Callable[[Context], str] | None = None


@dataclass(frozen=True)
class Finding:
    """What became of a claim: its one effect over `used` of its units, and p, Holm-adjusted over the claims.

    gap: what would decide it. quoted: what the records say of the paper's own words; empty without any.
    smallest: the smallest effect of interest that it was judged by.
    """

    claim: Claim
    verdict: Verdict
    found: Comparison | None
    p: float | None
    units: tuple[Unit, ...]
    used: int
    gap: Gap | None = None
    quoted: str = ""
    smallest: float = SMALLEST

    @property
    def counts(self) -> dict[Verdict, int]:
        """Units by verdict."""
        return {name: sum(unit.verdict == name for unit in self.units) for name in get_args(Verdict)}

    @property
    def text(self) -> str:
        """The effect in one line."""
        if self.found is None:
            return "no comparison"
        left = f" of {len(self.units)}, the rest with fewer seeds" if self.used < len(self.units) else ""
        said = replace(self.found, p=_or_nan(self.p), queries=0).text
        hides = f"; {self.hides}" if self.hides else ""
        return f"{said}, comparisons: {self.used}{left}{hides}"

    @property
    def alone(self) -> str:
        """Units by verdict in words, those that some have; empty without any."""
        return ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)

    @property
    def hides(self) -> str:
        """That a mean hides comparisons which say the opposite of it, or of one that finds nothing, something.

        One that is undecided alone counts where its effect is the other way by `smallest` or more.
        """
        opposite: dict[Verdict, tuple[Verdict, ...]] = {
            "supported": ("contradicted",),
            "contradicted": ("supported",),
            "equivalent": ("supported", "contradicted"),
            "undecided": (),
        }
        every = len(self.units)
        counts = [(self.counts[name], name) for name in opposite[self.verdict] if self.counts[name]]
        said = [f"{count} of {every} alone {_is(count)} {name}" for count, name in counts]
        if against := sum(map(self._against, self.units)):
            said.append(
                f"{against} of {every} {_is(against)} the other way by {self.smallest:g} or more, undecided alone"
            )
        return f"a mean: {', '.join(said)}" if said else ""

    def _against(self, unit: Unit) -> bool:
        """Whether an undecided comparison is the other way than a verdict that has one."""
        sign = {"supported": 1, "contradicted": -1}.get(self.verdict, 0)
        if unit.verdict != "undecided" or unit.found is None or not sign:
            return False
        return -sign * unit.found.difference >= self.smallest


def judge(ctx: Context, claims: Sequence[Claim], smallest: float = SMALLEST) -> list[Finding]:
    """Test claims together. Each has one effect: the mean over its data sets, code lengths and opponents.

    smallest: the smallest effect of interest, in the effect's own unit.
    """
    tested = [(claim, tuple(claim.units(ctx))) for claim in claims]
    pooled = [pool(units) for _, units in tested]
    adjusted = _adjusted({claim.name: found for (claim, _), (found, _) in zip(tested, pooled, strict=True)})
    findings = []
    for (claim, units), (found, used) in zip(tested, pooled, strict=True):
        p = adjusted.get(claim.name)
        verdict = decide(found, p, smallest)
        units = _judged(units, smallest)
        gap = None
        if not units:
            gap = ctx.no_records(f"both sides of claim {claim.name!r}", claim.suite)
        elif verdict == "undecided":
            gap = Gap(
                f"a verdict on {claim.name!r}: one suite file of the fits that would decide", ctx.plan_command
            )
        quoted = claim.quoted(ctx) if claim.quoted else ""
        findings.append(Finding(claim, verdict, found, p, units, used, gap, quoted, smallest))
    return findings


def pool(units: Sequence[Unit]) -> tuple[Comparison | None, int]:
    """The effect over the units that have enough seeds, and how many those are; over those with the most seeds
    where none has enough.
    """
    strata = counted(units)
    return (pooled_effect(strata), sum(map(len, strata.values()))) if strata else (None, 0)


def counted(units: Sequence[Unit]) -> dict[str, list[Changes]]:
    """What the units measured that count towards a claim, by data set."""
    strata: dict[str, list[Changes]] = {}
    most = max((len(unit.found.seeds) for unit in units if unit.found is not None), default=0)
    for unit in units:
        if unit.found is not None and len(unit.found.seeds) >= min(most, MIN_SEEDS):
            strata.setdefault(unit.dataset, []).append(unit.changes)
    return strata


def decide(found: Comparison | None, p: float | None, smallest: float = SMALLEST) -> Verdict:
    """equivalent: the interval lies within `smallest` of 0; else by the adjusted p-value and the effect's sign."""
    if found is None or p is None or len(found.seeds) < MIN_SEEDS:
        return "undecided"
    if -smallest < found.low and found.high < smallest:
        return "equivalent"
    if p >= LEVEL:
        return "undecided"
    return "supported" if found.difference > 0 else "contradicted"


def _judged(units: Sequence[Unit], smallest: float) -> tuple[Unit, ...]:
    adjusted = _adjusted({place: unit.found for place, unit in enumerate(units)})
    return tuple(
        replace(unit, p=adjusted.get(place), verdict=decide(unit.found, adjusted.get(place), smallest))
        for place, unit in enumerate(units)
    )


def _adjusted(found: Mapping[Key, Comparison | None]) -> dict[Key, float]:
    """Holm-adjusted p-values of what has one."""
    return holm({key: one.p for key, one in found.items() if one is not None and one.p == one.p})


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _numbers(found: Comparison | None, p: float | None) -> dict[str, Any]:
    known = {} if found is None else {"low": found.low, "high": found.high, "p": found.p}
    shown = {name: None if value != value else value for name, value in known.items()}
    return {
        "effect": found.difference if found else None,
        **{name: shown.get(name) for name in ("low", "high", "p")},
        "p_adjusted": p,
        "seeds": list(found.seeds) if found else [],
        "queries": found.queries if found else 0,
    }


def as_dict(finding: Finding) -> dict[str, object]:
    """A finding, JSON-ready."""
    units = [
        {
            "what": unit.what,
            "dataset": unit.dataset,
            "verdict": unit.verdict,
            **_numbers(unit.found, unit.p),
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
        "found": {**_numbers(finding.found, finding.p), "comparisons": finding.used},
        "counts": finding.counts,
        "units": units,
        "own_words": finding.quoted,
        "runs_needed": [asdict(finding.gap)] if finding.gap else [],
    }
