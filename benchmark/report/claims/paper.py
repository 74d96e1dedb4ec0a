"""The declared claims and how each finds its tests in the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report.claims.judge import SUBJECTS, Claim, Side, Unit, seeds_lacking
from benchmark.report.context import Context, assignments, rows_of
from benchmark.report.declared_methods import known, variants_of
from benchmark.report.groups import Group, group_records, is_plain, is_variant
from benchmark.report.selections import ood_views, share_groups, shares, variant_pairs
from benchmark.report.statistics.compare import Queries
from benchmark.report.statistics.effect import Changes, pooled_effect
from benchmark.report.statistics.robustness import mean_drop
from benchmark.spec import Sweep
from benchmark.spec.command import sweep_of
from benchmark.spec.suites import read
from benchmark.store.record import Record

_SUMMARY = "the public summary of arXiv 2210.04288"


def _full(ctx: Context) -> list[Unit]:
    """The subject against each baseline, per data set, budget and bits; selection `last` or `val` alone."""
    units = []
    for group, bits in _fair(ctx.main_groups):
        mine, others = _sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            changes = ctx.queries.changes(mine, theirs)
            what = f"{group.title}, {bits} bits: against {name}"
            units.append(_unit(ctx, what, mine, theirs, changes))
    return units


def _fair(groups: Iterable[Group]) -> Iterator[tuple[Group, int]]:
    """Each group with each of its code lengths; those that chose their model on the test queries are left out."""
    for group in groups:
        if group.selection != "peek":
            for bits in sorted({record.spec.bits for record in group.records}):
                yield group, bits


def _sides(records: Iterable[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
    """The subject's records at its defaults, newest version first choice; and every baseline's by row."""
    rows, mine = rows_of(records), list[Record]()
    for subject in SUBJECTS:
        own = [name for name, found in rows.items() if found[0].spec.method == subject and is_plain(found[0])]
        mine = mine or (rows[subject] if subject in rows else rows[max(own)] if own else [])
    others = {
        name: found
        for name, found in sorted(rows.items())
        if found[0].spec.method not in SUBJECTS and not is_variant(found[0].spec.method)
    }
    return mine, others


def _unit(
    ctx: Context,
    what: str,
    mine: Sequence[Record],
    theirs: Sequence[Record],
    changes: Changes,
    views: Sequence[str] = (),
    beside: Sequence[Sequence[Record]] = (),
) -> Unit:
    """A comparison, with the command of the seeds that it lacks. beside: other records that it rests on."""
    dataset = (*mine, *theirs)[0].spec.dataset
    found = pooled_effect({dataset: [changes]})
    wanted, needed = seeds_lacking(found), ""
    if mine and mine[0].spec.method != SUBJECTS[0]:
        what = f"{mine[0].spec.method}: {what}"
    if mine and theirs and wanted:
        like = next((r.spec for r in (*mine, *theirs) if r.spec.epochs is not None), mine[0].spec)
        needed = ctx.command(
            like,
            methods=[mine[0].spec.method, theirs[0].spec.method],
            seeds=wanted,
            views=views,
            extra=[*assignments(mine[0]), *assignments(theirs[0])],
        )
    sides = tuple(_side(records, views) for records in (mine, theirs, *beside) if records)
    return Unit(what, dataset, changes, found, needed, sides)


def _side(records: Sequence[Record], views: Sequence[str]) -> Side:
    """What more seeds of these records would be, and the seeds that have a record of each class split."""
    spec, splits = records[0].spec, {r.spec.class_split for r in records}
    have: dict[int, set[int | None]] = {}
    for record in records:
        if record.state == "done":
            have.setdefault(record.spec.seed, set()).add(record.spec.class_split)
    declared = known(spec.method)
    defaults = declared.defaults if declared is not None else {}
    changed = {key: value for key, value in spec.params.items() if defaults.get(key) != value}
    sweep = sweep_of(spec).model_copy(
        update={
            "params": {spec.method: changed} if changed else {},
            "views": tuple(views) or sweep_of(spec).views,
            "class_splits": tuple(sorted(s for s in splits if s is not None)) or Sweep().class_splits,
        }
    )
    outdated = declared is None or declared.version != spec.method_version
    return Side(sweep, frozenset(seed for seed, found in have.items() if found >= splits), outdated)


def _scarce(ctx: Context) -> list[Unit]:
    """How much the lead over each baseline grows from all labels to the fewest that both were run with."""
    units = []
    for group, bits in share_groups(ctx):
        if group.selection == "peek":
            continue
        mine, others = _sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            common = {r.spec.label_rule.share for r in mine} & {r.spec.label_rule.share for r in theirs}
            ordered = [share for share, _ in shares(tuple(mine)) if share in common]
            if len(ordered) < 2 or ordered[-1] != "1":
                continue
            few, others_few = (
                [r for r in side if r.spec.label_rule.share == ordered[0]] for side in (mine, theirs)
            )
            what = f"{group.title}, {bits} bits: lead over {name} at {ordered[0]} of the labels minus at all"
            changes = _growth(ctx.queries, mine, theirs, ordered[0])
            full = [[r for r in side if r.spec.label_rule.share == "1"] for side in (mine, theirs)]
            units.append(_unit(ctx, what, few, others_few, changes, beside=full))
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


def over_seeds(
    mine: Iterable[Record], theirs: Iterable[Record], value: Callable[[Record], float | None]
) -> dict[Any, NDArray[np.float64]]:
    """By common (seed, class split), the first's value minus the second's, as an array of one."""
    sides = []
    for records in (mine, theirs):
        found = {(r.spec.seed, r.spec.class_split): value(r) for r in records if r.state == "done"}
        sides.append({key: number for key, number in found.items() if number is not None})
    keys = sorted(sides[0].keys() & sides[1].keys(), key=str)
    return {key: np.array([sides[0][key] - sides[1][key]]) for key in keys}


def _corrupted(ctx: Context) -> list[Unit]:
    """How much less of its mAP the subject loses than each baseline, mean over the common corruptions."""
    units = []
    for group, bits in _fair(ctx.main_groups):
        mine, others = _sides(record for record in group.at(bits) if mean_drop(record) is not None)
        for name, theirs in others.items() if mine else ():
            changes, views = over_seeds(theirs, mine, mean_drop), ["clean", "corruption:common"]
            what = f"{group.title}, {bits} bits: relative drop of {name} minus own"
            units.append(_unit(ctx, what, mine, theirs, changes, views))
    return units


def _foreign(ctx: Context) -> list[Unit]:
    """The subject's out-of-distribution mAP minus each baseline's, for every such view but novelty."""
    units = []
    full = [r for r in ctx.records if r.spec.label_rule.full and not r.spec.label_noise]
    for group, bits in _fair(group_records(full, vary=("class_split",))):
        views = sorted({view for r in group.at(bits) for view, metric in ood_views(r) if metric == "map"})
        for view in views:
            mine, others = _sides(r for r in group.at(bits) if r.score("map", view) is not None)
            for name, theirs in others.items() if mine else ():
                changes = over_seeds(mine, theirs, _view_map(view))
                what = f"{group.title}, {bits} bits, {view}: against {name}"
                units.append(_unit(ctx, what, mine, theirs, changes, [view]))
    return units


def _view_map(view: str) -> Callable[[Record], float | None]:
    return lambda record: record.score("map", view)


def _ablated(ctx: Context) -> list[Unit]:
    """The subject minus itself without each loss: the variants that the ablation's suite names."""
    losses = {name.removeprefix(SUBJECTS[0]) for name in read("paper-ablation")["methods"]} - {""}
    wanted = {name for one in SUBJECTS for name in variants_of(one) if name.removeprefix(one) in losses}
    units = []
    for group, bits in _fair(ctx.main_groups):
        for name, (mine, theirs) in variant_pairs(group.at(bits)).items():
            if theirs[0].spec.method in wanted:
                what = f"{group.title}, {bits} bits: whole minus {name}"
                units.append(_unit(ctx, what, mine, theirs, ctx.queries.changes(mine, theirs)))
    return units


CLAIMS = (
    Claim(
        name="full-labels",
        statement="CoopHash has a higher mAP than the competing methods when all training labels are shown.",
        stated=f"{_SUMMARY}: it outperforms the competing supervised methods, by up to 10 % relative",
        effect="CoopHash's mAP minus the other's",
        suite="paper-main",
        units=_full,
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
