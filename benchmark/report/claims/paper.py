"""The declared claims and how each finds its tests in the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.report.claims.judge import SUBJECTS, Claim, Unit
from benchmark.report.claims.relative import up_to_relative
from benchmark.report.claims.sides import fair, sides
from benchmark.report.context import Context
from benchmark.report.declared_methods import variants_of
from benchmark.report.groups import group_records
from benchmark.report.selections import ood_views, share_groups, shares, variant_pairs
from benchmark.report.statistics.compare import Queries, over_seeds
from benchmark.report.statistics.effect import Changes, pooled_effect
from benchmark.report.statistics.robustness import mean_drop
from benchmark.spec.suites import read
from benchmark.store.record import Record

_SUMMARY = "the public summary of arXiv 2210.04288"


def _full(ctx: Context) -> list[Unit]:
    """The subject against each baseline, per data set, budget and bits; selection `last` or `val` alone."""
    units = []
    for group, bits in fair(ctx.main_groups):
        mine, others = sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            changes = ctx.queries.changes(mine, theirs)
            what = f"{group.title}, {bits} bits: against {name}"
            units.append(_unit(what, mine, theirs, changes))
    return units


def _unit(
    what: str,
    mine: Sequence[Record],
    theirs: Sequence[Record],
    changes: Changes,
    views: Sequence[str] = (),
) -> Unit:
    """A comparison of two sides."""
    dataset = (*mine, *theirs)[0].spec.dataset
    found = pooled_effect({dataset: [changes]})
    if mine and mine[0].spec.method != SUBJECTS[0]:
        what = f"{mine[0].spec.method}: {what}"
    return Unit(what, dataset, changes, found, (*mine, *theirs), tuple(views))


def _scarce(ctx: Context) -> list[Unit]:
    """How much the lead over each baseline grows from all labels to the fewest that both were run with."""
    units = []
    for group, bits in share_groups(ctx):
        if group.selection == "peek":
            continue
        mine, others = sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            common = {r.spec.label_rule.share for r in mine} & {r.spec.label_rule.share for r in theirs}
            ordered = [share for share, _ in shares(tuple(mine)) if share in common]
            if len(ordered) < 2 or ordered[-1] != "1":
                continue
            few_and_all = [
                [r for r in side if r.spec.label_rule.share in (ordered[0], "1")] for side in (mine, theirs)
            ]
            what = f"{group.title}, {bits} bits: lead over {name} at {ordered[0]} of the labels minus at all"
            changes = _growth(ctx.queries, mine, theirs, ordered[0])
            units.append(_unit(what, few_and_all[0], few_and_all[1], changes))
    return units


def _growth(
    queries: Queries, mine: Iterable[Record], theirs: Iterable[Record], few: str
) -> dict[int, NDArray[np.float64]]:
    """By seed, each query's lead at `few` labels minus its lead at all."""
    by: dict[tuple[int, str, int], Record] = {}
    for side, records in enumerate((mine, theirs)):
        for record in records:
            by[record.spec.seed, record.spec.label_rule.share, side] = record
    changes = {}
    for seed in sorted({seed for seed, _, _ in by}):
        four = [by.get((seed, share, side)) for share in (few, "1") for side in (0, 1)]
        scored = [queries.of(record) if record is not None else None for record in four]
        known = [one for one in scored if one is not None]
        if len(known) == 4 and all(np.array_equal(known[0][0], one[0]) for one in known):
            changes[seed] = (known[0][1] - known[1][1]) - (known[2][1] - known[3][1])
    return changes


def _corrupted(ctx: Context) -> list[Unit]:
    """How much less of its mAP the subject loses than each baseline, mean over the common corruptions."""
    units = []
    for group, bits in fair(ctx.main_groups):
        mine, others = sides(record for record in group.at(bits) if mean_drop(record) is not None)
        for name, theirs in others.items() if mine else ():
            changes, views = over_seeds(theirs, mine, mean_drop), ["corruption:common"]
            what = f"{group.title}, {bits} bits: relative drop of {name} minus own"
            units.append(_unit(what, mine, theirs, changes, views))
    return units


def _foreign(ctx: Context) -> list[Unit]:
    """The subject's out-of-distribution mAP minus each baseline's, for every such view but novelty."""
    units = []
    full = [r for r in ctx.records if r.spec.label_rule.full and not r.spec.label_noise]
    for group, bits in fair(group_records(full, vary=("class_split",))):
        views = sorted({view for r in group.at(bits) for view, metric in ood_views(r) if metric == "map"})
        for view in views:
            mine, others = sides(r for r in group.at(bits) if r.score("map", view) is not None)
            for name, theirs in others.items() if mine else ():
                changes = over_seeds(mine, theirs, _view_map(view))
                what = f"{group.title}, {bits} bits, {view}: against {name}"
                units.append(_unit(what, mine, theirs, changes, [view]))
    return units


def _view_map(view: str) -> Callable[[Record], float | None]:
    return lambda record: record.score("map", view)


def _ablated(ctx: Context) -> list[Unit]:
    """The subject minus itself without each loss: the variants that the ablation's suite names."""
    losses = {name.removeprefix(SUBJECTS[0]) for name in read("paper-ablation")["methods"]} - {""}
    wanted = {name for one in SUBJECTS for name in variants_of(one) if name.removeprefix(one) in losses}
    units = []
    for group, bits in fair(ctx.main_groups):
        for name, (mine, theirs) in variant_pairs(group.at(bits)).items():
            if theirs[0].spec.method in wanted:
                what = f"{group.title}, {bits} bits: whole minus {name}"
                units.append(_unit(what, mine, theirs, ctx.queries.changes(mine, theirs)))
    return units


CLAIMS = (
    Claim(
        name="full-labels",
        statement="CoopHash has a higher mAP than the competing methods when all training labels are shown.",
        stated=f"{_SUMMARY}: it outperforms the competing supervised methods, by up to 10 % relative",
        effect="CoopHash's mAP minus the other's",
        suite="paper-main",
        units=_full,
        quoted=up_to_relative,
    ),
    Claim(
        name="scarce-labels",
        statement="CoopHash's lead over the competing methods grows as labels become fewer.",
        stated=f"{_SUMMARY} motivates the method by scarce labels; that the lead grows is our reading of it",
        effect="lead in mAP at the fewest labels minus lead at all labels",
        suite="paper-scarcity",
        units=_scarce,
    ),
    Claim(
        name="corruption",
        statement="CoopHash loses a smaller share of its mAP on corrupted queries than the competing methods do.",
        stated=f"{_SUMMARY}: strong robustness to corrupted data; measured as relative drop by our choice",
        effect="the other's relative drop (a share of its clean mAP) minus CoopHash's",
        suite="paper-corruption",
        units=_corrupted,
    ),
    Claim(
        name="out-of-distribution",
        statement="CoopHash has a higher mAP than the competing methods out of distribution.",
        stated=f"{_SUMMARY}: significantly better performance in out-of-distribution retrieval",
        effect="CoopHash's mAP minus the other's, seeds and class splits drawn together",
        suite="paper-ood",
        units=_foreign,
    ),
    Claim(
        name="ablation",
        statement="Taking away one of CoopHash's four losses lowers its mAP.",
        stated=f"{_SUMMARY}, caption of Figure 3, names the ablations; that each lowers mAP is our reading of it",
        effect="mAP of the whole minus mAP without the loss",
        suite="paper-ablation",
        units=_ablated,
    ),
)
