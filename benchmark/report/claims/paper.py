"""The declared claims and how each finds its tests in the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from benchmark.report.claims.judge import SUBJECT, Claim, Unit, seeds_lacking
from benchmark.report.context import Context, rows_of
from benchmark.report.declared_methods import variants_of
from benchmark.report.groups import Group, group_records, is_plain, is_variant
from benchmark.report.selections import ood_views, share_groups, shares, variant_pairs
from benchmark.report.statistics.compare import Comparison, Queries, paired_bootstrap
from benchmark.report.statistics.robustness import mean_drop
from benchmark.spec.suites import read
from benchmark.store.record import Record

_SUMMARY = "the public summary of arXiv 2210.04288"


def _full(ctx: Context) -> list[Unit]:
    """The subject against each baseline, per data set, budget and bits; selection `last` or `val` alone."""
    units = []
    for group, bits in _fair(ctx.main_groups):
        mine, others = _sides(group.at(bits))
        for name, theirs in others.items() if mine else ():
            found = ctx.queries.compare(mine, theirs)
            what = f"{group.title}, {bits} bits: against {name}"
            units.append(Unit(what, found, _needed(ctx, mine, theirs, found)))
    return units


def _fair(groups: Iterable[Group]) -> Iterator[tuple[Group, int]]:
    """Each group with each of its code lengths; those that chose their model on the test queries are left out."""
    for group in groups:
        if group.selection != "peek":
            for bits in sorted({record.spec.bits for record in group.records}):
                yield group, bits


def _sides(records: Iterable[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
    """The subject's records at its defaults, newest version first choice; and every baseline's by row."""
    rows = rows_of(records)
    own = [name for name, found in rows.items() if found[0].spec.method == SUBJECT and is_plain(found[0])]
    mine = rows[SUBJECT] if SUBJECT in rows else rows[max(own)] if own else []
    others = {
        name: found
        for name, found in sorted(rows.items())
        if found[0].spec.method != SUBJECT and not is_variant(found[0].spec.method)
    }
    return mine, others


def _needed(
    ctx: Context,
    mine: Sequence[Record],
    theirs: Sequence[Record],
    found: Comparison | None,
    views: Sequence[str] = (),
) -> str:
    """The command of the seeds that a verdict lacks, for both sides."""
    if not mine or not theirs:
        return ""
    wanted = seeds_lacking(found)
    if not wanted:
        return ""
    like = next((r.spec for r in (*mine, *theirs) if r.spec.epochs is not None), mine[0].spec)
    return ctx.command(like, methods=[mine[0].spec.method, theirs[0].spec.method], seeds=wanted, views=views)


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
            found = _growth(ctx.queries, mine, theirs, ordered[0])
            few = [r for r in mine if r.spec.label_rule.share == ordered[0]]
            needed = _needed(ctx, few, [r for r in theirs if r.spec.label_rule.share == ordered[0]], found)
            what = f"{group.title}, {bits} bits: lead over {name} at {ordered[0]} of the labels minus at all"
            units.append(Unit(what, found, needed))
    return units


def _growth(
    queries: Queries, mine: Iterable[Record], theirs: Iterable[Record], few: str
) -> Comparison | None:
    by: dict[tuple[int, str, int], Record] = {}
    for side, records in enumerate((mine, theirs)):
        for record in records:
            by[record.spec.seed, record.spec.label_rule.share, side] = record
    changes, seeds = [], []
    for seed in sorted({seed for seed, _, _ in by}):
        four = [by.get((seed, share, side)) for share in (few, "1") for side in (0, 1)]
        scored = [queries.of(record) if record is not None else None for record in four]
        known = [one for one in scored if one is not None]
        if len(known) == 4 and all(np.array_equal(known[0][0], one[0]) for one in known):
            changes.append((known[0][1] - known[1][1]) - (known[2][1] - known[3][1]))
            seeds.append(seed)
    return paired_bootstrap(changes, tuple(seeds)) if changes else None


def over_seeds(
    mine: Iterable[Record], theirs: Iterable[Record], value: Callable[[Record], float | None]
) -> Comparison | None:
    """Paired mean difference over the common (seed, class split) pairs, with Student's interval and t-test.

    None without a common pair; with one pair the interval is unbounded.
    """
    from scipy import stats

    sides = []
    for records in (mine, theirs):
        found = {(r.spec.seed, r.spec.class_split): value(r) for r in records if r.state == "done"}
        sides.append({key: number for key, number in found.items() if number is not None})
    keys = sorted(sides[0].keys() & sides[1].keys(), key=str)
    if not keys:
        return None
    changes = np.array([sides[0][key] - sides[1][key] for key in keys])
    mean, seeds = float(changes.mean()), tuple(sorted({seed for seed, _ in keys}))
    if len(changes) < 2:
        return Comparison(mean, float("-inf"), float("inf"), 1.0, seeds, 0)
    error = float(changes.std(ddof=1) / np.sqrt(len(changes)))
    if error == 0:
        return Comparison(mean, mean, mean, 1.0 if mean == 0 else 0.0, seeds, 0)
    reach = float(stats.t.ppf(0.975, len(changes) - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, len(changes) - 1))
    return Comparison(mean, mean - reach, mean + reach, p, seeds, 0)


def _corrupted(ctx: Context) -> list[Unit]:
    """How much less of its mAP the subject loses than each baseline, mean over the common corruptions."""
    units = []
    for group, bits in _fair(ctx.main_groups):
        mine, others = _sides(record for record in group.at(bits) if mean_drop(record) is not None)
        for name, theirs in others.items() if mine else ():
            found = over_seeds(theirs, mine, mean_drop)
            needed = _needed(ctx, mine, theirs, found, ["clean", "corruption:common"])
            what = f"{group.title}, {bits} bits: relative drop of {name} minus own"
            units.append(Unit(what, found, needed))
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
                found = over_seeds(mine, theirs, _view_map(view))
                needed = _needed(ctx, mine, theirs, found, [view])
                units.append(Unit(f"{group.title}, {bits} bits, {view}: against {name}", found, needed))
    return units


def _view_map(view: str) -> Callable[[Record], float | None]:
    return lambda record: record.score("map", view)


def _ablated(ctx: Context) -> list[Unit]:
    """The subject minus itself without each loss: the variants that the ablation's suite names."""
    wanted = [name for name in variants_of(SUBJECT) if name in read("paper-ablation")["methods"]]
    units = []
    for group, bits in _fair(ctx.main_groups):
        for name, (mine, theirs) in variant_pairs(group.at(bits)).items():
            if theirs[0].spec.method in wanted:
                found = ctx.queries.compare(mine, theirs)
                what = f"{group.title}, {bits} bits: whole minus {name}"
                units.append(Unit(what, found, _needed(ctx, mine, theirs, found)))
    return units


CLAIMS = (
    Claim(
        name="full-labels",
        statement="CoopHash has a higher mAP than each competing method when all training labels are shown.",
        stated=f"{_SUMMARY}: it outperforms the competing supervised methods, by up to 10 % relative",
        effect="CoopHash's mAP minus the other's",
        suite="paper-main",
        units=_full,
    ),
    Claim(
        name="scarce-labels",
        statement="CoopHash's lead over each competing method grows as labels become fewer.",
        stated=f"{_SUMMARY} motivates the method by scarce labels; that the lead grows is our reading of it",
        effect="lead in mAP at the fewest labels minus lead at all labels",
        suite="paper-scarcity",
        units=_scarce,
    ),
    Claim(
        name="corruption",
        statement="CoopHash loses a smaller share of its mAP on corrupted queries than each competing method.",
        stated=f"{_SUMMARY}: strong robustness to corrupted data; measured as relative drop by our choice",
        effect="the other's relative drop minus CoopHash's, over seeds",
        suite="paper-corruption",
        units=_corrupted,
    ),
    Claim(
        name="out-of-distribution",
        statement="CoopHash has a higher mAP than each competing method out of distribution.",
        stated=f"{_SUMMARY}: significantly better performance in out-of-distribution retrieval",
        effect="CoopHash's mAP minus the other's, over seeds and class splits",
        suite="paper-ood",
        units=_foreign,
    ),
    Claim(
        name="ablation",
        statement="Taking away any of CoopHash's four losses lowers its mAP.",
        stated=f"{_SUMMARY}, caption of Figure 3, names the ablations; that each lowers mAP is our reading of it",
        effect="mAP of the whole minus mAP without the loss",
        suite="paper-ablation",
        units=_ablated,
    ),
)
