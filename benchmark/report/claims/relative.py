"""The paper's own words: a gain of up to 10 % relative over the competing methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.report.claims.sides import fair, sides
from benchmark.report.context import Context
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, Changes, Comparison, pooled_effect

#: The gain that the paper names.
STATED = 0.10


@dataclass(frozen=True)
class Gain:
    """A relative gain in mAP over one opponent at one place (a group of records at a code length)."""

    place: str
    over: str
    found: Comparison


def up_to_relative(ctx: Context) -> str:
    """What the records say of "up to 10 % relative"; empty without a comparison.

    "Up to" is the largest gain over the best opponent of any data set and code length; beside it stands the
    largest over any opponent. Intervals are simultaneous (Bonferroni over all comparisons), so picking the largest
    costs nothing: they run from the largest lower end to the largest upper end.
    """
    gains = relative_gains(ctx)
    if not gains:
        return ""
    of_place: dict[str, list[Gain]] = {}
    for one in gains:
        of_place.setdefault(one.place, []).append(one)
    places = of_place.values()
    best = [min(some, key=_value) for some in places]
    low, high = (
        max(min(getattr(one.found, end) for one in some) for some in places) for end in ("low", "high")
    )
    any_low, any_high = (max(getattr(one.found, end) for one in gains) for end in ("low", "high"))
    few = min(len(one.found.seeds) for one in gains)
    verdict = "supported" if low >= STATED else "contradicted" if high < STATED else "undecided"
    verdict = f"undecided ({few} of {MIN_SEEDS} seeds)" if few < MIN_SEEDS else verdict
    over_best = _percent(max(best, key=_value), low, high)
    over_any = _percent(max(gains, key=_value), any_low, any_high)
    return (
        f'"up to {100 * STATED:.0f} % relative": {verdict}. Largest gain over the best opponent of a data set and '
        f"code length: {over_best}; over any opponent: {over_any}; "
        f"simultaneous 95 % intervals over {len(gains)} comparison{'s' if len(gains) > 1 else ''}"
    )


def relative_gains(ctx: Context) -> list[Gain]:
    """The gain over every opponent, with intervals that all hold together at 95 %; those that lack seeds which
    others have, up to `MIN_SEEDS`, are left out.
    """
    found: list[tuple[str, str, Changes]] = []
    for group, bits in fair(ctx.main_groups):
        mine, others = sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            changes = _relative(ctx.queries.pairs(mine, theirs))
            if changes:
                found.append((f"{group.title}, {bits} bits", name, changes))
    most = min(MIN_SEEDS, max((len(changes) for *_, changes in found), default=0))
    found = [one for one in found if len(one[2]) >= most]
    tested = ((*one[:2], pooled_effect({"": [one[2]]}, LEVEL / len(found))) for one in found)
    return [Gain(place, over, gain) for place, over, gain in tested if gain is not None]


def _relative(pairs: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Changes:
    """By seed, each query's part in (mean of mine) / (mean of theirs) - 1, linear at these means (delta method)."""
    if not pairs:
        return {}
    mine, theirs = (float(np.mean([np.nanmean(pair[side]) for pair in pairs.values()])) for side in (0, 1))
    if not theirs > 0:
        return {}
    ratio = mine / theirs
    return {seed: (one - ratio * other) / theirs + ratio - 1 for seed, (one, other) in pairs.items()}


def _value(one: Gain) -> float:
    return one.found.difference


def _percent(one: Gain, low: float, high: float) -> str:
    interval = "–" if low != low or len(one.found.seeds) < 2 else f"[{100 * low:+.1f} %, {100 * high:+.1f} %]"
    return f"{100 * one.found.difference:+.1f} % {interval} (over {one.over}; {one.place})"
