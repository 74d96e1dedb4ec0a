"""How many seeds would decide the claims that are not decided, and the fits of those seeds as one suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.report.claims.judge import LEVEL, MIN_SEEDS, Finding, Side
from benchmark.report.statistics.effect import seeds_that_decide
from benchmark.spec.command import WEIGHTS_FILE

#: More seeds than this are not planned.
MOST = 30


@dataclass(frozen=True)
class Outlook:
    """What it would take to decide a claim. seeds: in all, 0 where it is decided or cannot be. text: one line."""

    name: str
    seeds: int
    text: str
    sides: tuple[Side, ...] = ()


def outlooks(findings: Sequence[Finding], smallest: float) -> list[Outlook]:
    """The outlook of each claim, at 80 % power, if effects and spreads are as the records show them.

    The level is Holm's smallest: that of one of so many claims as have comparisons.
    """
    level = LEVEL / max(1, sum(bool(one.units) for one in findings))
    return [_outlook(one, smallest, level) for one in findings]


def _outlook(finding: Finding, smallest: float, level: float) -> Outlook:
    name, found = finding.claim.name, finding.found
    if finding.verdict != "undecided":
        return Outlook(name, 0, f"{finding.verdict}, with {len(found.seeds) if found else 0} seeds")
    if not finding.units:
        return Outlook(name, 0, f"no records of both sides: run --suite {finding.claim.suite}")
    sides = tuple(side for unit in finding.units for side in unit.sides)
    have = max((len(unit.found.seeds) for unit in finding.units if unit.found), default=0)
    if found is None or not found.error >= 0 or have < MIN_SEEDS:
        text = f"{have} of {MIN_SEEDS} seeds; the spread is not known yet: {MIN_SEEDS} seeds first"
        return Outlook(name, MIN_SEEDS, text, sides)
    wanted = seeds_that_decide(found, smallest, level, MOST)
    if wanted is None:
        text = f"not decided by {MOST} seeds at the effect {found.difference:+.4f} and its spread"
        return Outlook(name, 0, text)
    # A verdict missed by chance, or by the comparisons that lack seeds: one seed more at least.
    wanted = max(wanted, have + 1)
    return Outlook(
        name, wanted, f"{wanted} seeds (of which {have} are there) decide it with 80 % power", sides
    )


def suite_of(found: Iterable[Outlook], title: str) -> tuple[dict[str, Any], list[str]]:
    """A suite file's keys with the fits that the seeds wanted lack, and notes on what it leaves out.

    Each method's missing seeds are its own; methods that miss the same under the same conditions share a part.
    """
    parts: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for outlook in found:
        for side in outlook.sides:
            missing = [seed for seed in range(outlook.seeds) if seed not in side.seeds]
            if side.outdated and missing:
                notes[f"{side.sweep.methods[0]}: its version here is another than that of the records"] = None
            elif missing:
                _add(parts, _keys(side, missing))
    if any(part.get("weights", "").endswith(WEIGHTS_FILE) for part in parts):
        notes[f"{WEIGHTS_FILE} stands for the weights file of the records: run --weights FILE"] = None
    return {"title": title, "parts": parts}, list(notes)


def _keys(side: Side, seeds: list[int]) -> dict[str, Any]:
    usual = type(side.sweep)().model_dump(mode="json", exclude_none=True)
    always = ("methods", "datasets", "bits", "protocol")
    keys = side.sweep.model_dump(mode="json", exclude_none=True)
    kept = {key: value for key, value in keys.items() if key in always or value != usual.get(key)}
    params = {
        method: {key: "none" if value is None else value for key, value in values.items()}
        for method, values in side.sweep.params.items()
    }
    kept.pop("params", None)
    return {**kept, "seeds": seeds, **({"set": params} if params else {})}


def _add(parts: list[dict[str, Any]], new: dict[str, Any]) -> None:
    """Join the part that differs in its methods alone; the same method with other parameters stands apart."""
    own = {"methods", "set"}
    for part in parts:
        same = {k: v for k, v in part.items() if k not in own} == {
            k: v for k, v in new.items() if k not in own
        }
        given, (method,) = part.get("set", {}), new["methods"]
        if same and (method not in part["methods"] or given.get(method) == new.get("set", {}).get(method)):
            part["methods"] = list(dict.fromkeys([*part["methods"], method]))
            if given or new.get("set"):
                part["set"] = {**given, **new.get("set", {})}
            return
    parts.append(new)
