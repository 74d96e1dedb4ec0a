"""What would decide the claims that are open: seeds, fits, and the one suite file that makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.errors import InputError
from benchmark.report.claims.judge import SMALLEST, Finding, Unit, counted
from benchmark.report.context import Context
from benchmark.report.declared_methods import known
from benchmark.report.groups import is_plain
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS
from benchmark.report.statistics.power import POWER, seeds_to_decide
from benchmark.spec import FitSpec, Sweep
from benchmark.spec.command import sweep_of
from benchmark.spec.grids import join_grids, suite_text
from benchmark.store.record import Record
from benchmark.store.weights_used import weights_used

#: More seeds than this are not asked for: what they cannot show is too small to matter here.
MAX_SEEDS = 30
HEADER = "Written by `python -m benchmark claims --plan`: the fits that would decide the open claims."


@dataclass(frozen=True)
class Missing:
    """A fit that is to be run, with its views beside `clean` and where its weights file lies; empty for none."""

    spec: FitSpec
    views: tuple[str, ...]
    weights: str


@dataclass(frozen=True)
class Step:
    """What one claim needs. seeds: in all, 0 where nothing is to run; why: that in words.

    fits: by id. left_out: what no suite file can make, and why.
    """

    finding: Finding
    seeds: int
    why: str
    fits: dict[str, Missing]
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The claim in one line."""
        number = f"; {len(self.fits)} fits to run" if self.fits else "; nothing to run" if self.seeds else ""
        return f"{self.finding.claim.name}: {self.finding.verdict}: {self.why}{number}"


def plan_claims(
    ctx: Context, findings: Sequence[Finding], smallest: float = SMALLEST, most: int = MAX_SEEDS
) -> list[Step]:
    """The step of every claim. most: a claim that needs more seeds gets no fits, and its line says how many."""
    level = LEVEL / max(1, sum(bool(one.units) for one in findings))  # Holm's first, the strictest
    failed = {record.fit_id for record in ctx.records if record.state == "failed"}
    steps = []
    for one in findings:
        seeds, why = _seeds(one, smallest, level, most)
        fits: dict[str, Missing] = {}
        left_out = dict[str, None]()
        for unit in one.units if seeds else ():
            lacking, without = _lacking(ctx, unit, seeds, failed)
            left_out |= dict.fromkeys(without)
            _add(fits, lacking)
        steps.append(Step(one, seeds, why, fits, tuple(left_out)))
    return steps


def write_suite(ctx: Context, steps: Iterable[Step]) -> tuple[str, int]:
    """(the suite file of the fits of all steps, how many); a fit that two claims lack is there once."""
    fits: dict[str, Missing] = {}
    for step in steps:
        _add(fits, step.fits.values())
    head = {"title": "Fits that would decide the open claims", "results": str(ctx.store.root)}
    return suite_text(join_grids(_sweep(one) for one in fits.values()), head, HEADER), len(fits)


def _seeds(finding: Finding, smallest: float, level: float, most: int) -> tuple[int, str]:
    """(seeds in all, 0 for none; why)."""
    found = finding.found
    if not finding.units:
        return (
            0,
            f"no comparison in these records; its suite: {finding.claim.suite}-small, or {finding.claim.suite}",
        )
    if finding.verdict != "undecided":
        return 0, "decided"
    if found is None or found.p != found.p:
        have = 0 if found is None else len(found.seeds)
        told = (
            "one seed" if have == 1 else "a data set with one seed" if have else "no common seed with codes"
        )
        return MIN_SEEDS, f"{told}, so no spread is known: {MIN_SEEDS} seeds first"
    have = len(found.seeds)
    full = all(unit.found is not None and len(unit.found.seeds) >= have for unit in finding.units)
    least = max(MIN_SEEDS, have + 1 if full else have)
    needed = seeds_to_decide(counted(finding.units), smallest, level, least)
    so_far = f"{found.difference:+.4f} {found.interval} from {have} seeds"
    if needed is None:
        return 0, f"{so_far}; not even 1,000 seeds would decide"
    seeds, kind = needed
    verdict = (
        "equivalent" if kind == "equivalence" else "supported" if found.difference > 0 else "contradicted"
    )
    why = f"{so_far}; {seeds} seeds would call it {verdict} in {100 * POWER:.0f} % of sweeps like this"
    return (0, f"{why}, more than the {most} that are asked for") if seeds > most else (seeds, why)


def _lacking(ctx: Context, unit: Unit, wanted: int, failed: set[str]) -> tuple[list[Missing], list[str]]:
    """(the fits that bring both sides to so many common seeds, what is left out); begun seeds come first."""
    sides: dict[str, Missing] = {}
    done: dict[str, set[int]] = {}
    for record in unit.records:
        spec = _now(record)
        if spec is None:
            return [], [f"{unit.what}: {record.spec.method} is not installed here"]
        key = spec.model_copy(update={"seed": 0}).fit_id
        try:
            weights = sides[key].weights if key in sides else weights_used(ctx.store, record)
        except InputError as error:
            return [], [f"{unit.what}: {error}"]
        sides[key] = Missing(spec, unit.views, weights)
        if record.state == "done" and record.spec.fit_id == spec.fit_id:
            done.setdefault(key, set()).add(spec.seed)
    seen = {seed for seeds in done.values() for seed in seeds}
    candidates = []
    for seed in sorted(seen | {*range(wanted + len(seen) + len(failed))}):
        fits = {
            key: replace(one, spec=one.spec.model_copy(update={"seed": seed})) for key, one in sides.items()
        }
        if not any(one.spec.fit_id in failed for one in fits.values()):
            lacks = [one for key, one in fits.items() if seed not in done.get(key, ())]
            candidates.append((len(lacks), seed, lacks))
    chosen = sorted(candidates, key=lambda one: one[:2])[:wanted]
    return [one for _, _, lacks in chosen for one in lacks], []


def _now(record: Record) -> FitSpec | None:
    """The fit as a run would make it today: its method's version, and that version's defaults where it had them."""
    declared = known(record.spec.method)
    if declared is None:
        return None
    params = declared.defaults if is_plain(record) else record.spec.params
    return record.spec.model_copy(update={"method_version": declared.version, "params": params})


def _add(fits: dict[str, Missing], more: Iterable[Missing]) -> None:
    for one in more:
        before = fits.get(one.spec.fit_id, one).views
        fits[one.spec.fit_id] = replace(one, views=tuple(sorted({*before, *one.views})))


def _sweep(one: Missing) -> Sweep:
    """The sweep of one fit with its views; parameters at their defaults are not said."""
    spec, declared = one.spec, known(one.spec.method)
    defaults = {} if declared is None else declared.defaults
    params = {
        key: value for key, value in spec.params.items() if key not in defaults or defaults[key] != value
    }
    changes: dict[str, object] = {"params": {spec.method: params} if params else {}}
    if spec.class_split is None:
        changes["views"] = ("clean", *one.views)
    return sweep_of(spec, one.weights).model_copy(update=changes)
