"""How many seeds an effect needs before it is told from none, or from one that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from benchmark.report.statistics.effect import Changes, error_of, strata_of

#: The chance to decide that is asked for.
POWER = 0.8
#: Numbers of seeds beyond this are not tried.
_MOST = 1000


def seeds_to_decide(
    strata: Mapping[str, Sequence[Changes]], smallest: float, level: float, least: int
) -> tuple[int, Literal["difference", "equivalence"]] | None:
    """The fewest seeds, from `least` on, with which a test has the power `POWER`, and which test: that the effect
    is not 0 at `level`, or that its 95 % interval lies within `smallest` of 0. None where not even 1,000 do.

    Effect and spread are taken for what they were so far, over at least two seeds a data set; the error of the mean
    falls with the root of the seeds, degrees of freedom grow with them. Two-sided t test by the noncentral t
    distribution; equivalence by both one-sided tests, their misses added.
    """
    from scipy import stats

    parts = strata_of(strata)
    effect = abs(sum(part.mean for part in parts) / len(parts))
    for seeds in range(least, _MOST + 1):
        error, free = error_of(parts, seeds)
        if error < 1e-12:
            return seeds, "equivalence" if effect < smallest else "difference"
        # Beyond 30 errors the distribution is not computed: the power is 1 there already, from three seeds on.
        reach = np.minimum(np.array([effect, smallest - effect, smallest + effect]) / error, 30.0)
        limits = stats.t.isf([level / 2, 0.025, 0.025], free)
        found = stats.nct.sf(limits, free, reach) if np.isfinite(free) else stats.norm.sf(limits - reach)
        if effect < smallest and found[1] + found[2] - 1 >= POWER:
            return seeds, "equivalence"
        if found[0] >= POWER:
            return seeds, "difference"
    return None
