"""The report's first words: what was compared, what won and how sure that is, made from the numbers.

Methods are compared in places: code lengths or, of a folder of class splits alone, code lengths of class splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.report.context import Context, rows_of
from benchmark.report.declared_methods import titled
from benchmark.report.groups import Group, group_records, is_variant
from benchmark.report.statistics.compare import over_seeds
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, Changes, Comparison, p_text, pooled_effect
from benchmark.report.tables.cells import best_first
from benchmark.store.record import Record
from benchmark.store.sweeps import planned_fits

#: Groups beyond so many have their tables alone; of methods that are left out so many are named.
_MOST = 4
#: Code length and class split, -1 for none.
Place = tuple[int, int]


@dataclass(frozen=True)
class Headline:
    """One group of numbers in words: what was compared, who won, how sure that is."""

    compared: str
    winner: str
    sure: str


def headlines(ctx: Context) -> list[Headline]:
    """One for each of the first groups, those with a score first: at full labels, else at the most labels, else on
    classes that were not trained on.
    """
    groups = ctx.main_groups or _most_labels_first(r for r in ctx.records if r.spec.class_split is None)
    groups = groups or _most_labels_first(ctx.records, vary=("class_split",))
    found = [_headline(ctx, group) for group in groups]
    said = [one for one in found if one is not None]
    said.sort(key=lambda one: one.sure.startswith("No fit"))
    rest = len(said) - _MOST
    return said[:_MOST] + (
        [Headline("", "", f"{_count(rest, 'more comparison')} in the tables.")] if rest > 0 else []
    )


def _most_labels_first(records: Iterable[Record], vary: Iterable[str] = ()) -> list[Group]:
    """Groups of fits, those with the most labels and the fewest wrong ones first. vary: as of `group_records`."""
    groups = group_records(records, vary)

    def labelled(group: Group) -> int:
        return max((record.protocol.labelled for record in group.records if record.protocol), default=0)

    return sorted(groups, key=lambda group: (group.spec.label_noise, -labelled(group)))


def first_words(ctx: Context, found: Iterable[Headline]) -> list[str]:
    """The headlines as paragraphs, after what is not whole."""
    parts = ((one.compared and f"Compared: {one.compared}", one.winner, one.sure) for one in found)
    return [*filter(None, [unfinished(ctx)]), *(" ".join(filter(None, one)) for one in parts)]


def unfinished(ctx: Context) -> str:
    """What the saved sweeps plan and no record answers, in words; empty where everything ran."""
    left = planned_fits(ctx.store, {record.fit_id for record in ctx.records})
    if not left:
        return ""
    methods = _some([titled(name) for name in sorted({fit.label.partition(" ")[0] for fit in left.values()})])
    many = _count(len(left), "planned fit")
    return f"Not whole: {many} without a record ({methods}); the command status lists them."


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _headline(ctx: Context, group: Group) -> Headline | None:
    methods = rows_of(group.of(lambda r: not is_variant(r.spec.method)))
    rows = {
        name: found for name, all_ in methods.items() if (found := [r for r in all_ if _map(r) is not None])
    }
    if not rows:
        return _scoreless(group, methods)
    places, whole = _ranked(rows)
    lengths = sorted({bits for bits, _ in places})
    compared = f"{group.title}: {_what(rows)}.{_left_out(methods, whole)}"
    compared += " Each epoch was chosen on the test queries: too good." if group.selection == "peek" else ""
    means = {name: _mean(found, places) for name, found in whole.items()}
    order = best_first(means)
    if len(order) < 2:
        return Headline(compared, "", _alone(rows))
    first, second = order[0], order[1]
    over = f", mean over {_count(len(lengths), 'code length')}" if len(lengths) > 1 else ""
    highest = "the highest mAP" if group.spec.class_split is None else "the highest mAP on unseen classes"
    equal = [titled(name) for name in order if f"{means[name]:.4f}" == f"{means[first]:.4f}"]
    winner = (
        f"{titled(first)} has {highest}: {means[first]:.4f}{over}, "
        f"{means[first] - means[second]:.4f} above {titled(second)} ({means[second]:.4f})."
    )
    if len(equal) > 1:
        winner = f"{', '.join(equal[:-1])} and {equal[-1]} share {highest}: {means[first]:.4f}{over}."
    rivals = len(order) - 1
    lead = _lead(ctx, whole[first], whole[second], lengths, rivals)
    return Headline(compared, winner, _sure(lead, rivals, len(lengths)))


def _scoreless(group: Group, methods: dict[str, list[Record]]) -> Headline | None:
    every = [record for found in methods.values() for record in found]
    if not every:
        return None
    failed = sum(record.failure is not None for record in every)
    why = f": {failed} of {_count(len(every), 'fit')} failed" if failed else ""
    return Headline(f"{group.title}: {_count(len(methods), 'method')}.", "", f"No fit has an mAP{why}.")


def _map(record: Record) -> float | None:
    """What fits are ranked by: the mAP, of a fit with a class split on its unseen classes."""
    return record.score("map", "clean" if record.spec.class_split is None else "unseen-classes")


def _place(record: Record) -> Place:
    return record.spec.bits, -1 if record.spec.class_split is None else record.spec.class_split


def _places(records: Iterable[Record]) -> set[Place]:
    return {_place(record) for record in records}


def _ranked(rows: dict[str, list[Record]]) -> tuple[list[Place], dict[str, list[Record]]]:
    """The places that methods are ranked over and the methods that have all of them: every place, or, where fewer
    than two methods have every one, those that all methods share.
    """
    every = set[Place]().union(*map(_places, rows.values()))
    whole = {name: found for name, found in rows.items() if _places(found) == every}
    if len(whole) > 1:
        return sorted(every), whole
    shared = every.intersection(*map(_places, rows.values()))
    return sorted(shared), {
        name: kept for name, found in rows.items() if (kept := [r for r in found if _place(r) in shared])
    }


def _what(rows: dict[str, list[Record]]) -> str:
    """`3 methods at 16, 32 bits, 1 to 5 seeds`: what has a score."""
    every = [record for found in rows.values() for record in found]
    methods, bits = {record.spec.method for record in every}, sorted({bits for bits, _ in _places(every)})
    splits = {split for _, split in _places(every)} - {-1}
    text = _count(len(methods), "method")
    text = text if len(methods) == len(rows) else f"{len(rows)} configurations of {text}"
    seeds = Counter((name, _place(r)) for name, found in rows.items() for r in found).values()
    many = _count(max(seeds), "seed")
    many = many if min(seeds) == max(seeds) else f"{min(seeds)} to {many}"
    many = f"{_count(len(splits), 'class split')}, {many}" if splits else many
    return f"{text} at {', '.join(map(str, bits))} bits, {many}"


def _left_out(methods: dict[str, list[Record]], whole: dict[str, list[Record]]) -> str:
    """Methods that were run and are not ranked, and that a ranking is over some code lengths alone."""
    out = {name: found for name, found in sorted(methods.items()) if name not in whole}
    failed = [name for name, found in out.items() if all(record.failure for record in found)]
    rest = [name for name in out if name not in failed]
    text = f" Failed: {_some([*map(titled, failed)])}." if whole and failed else ""
    if whole and rest:
        text += f" Not ranked, for want of a score at every {_of(whole)}: {_some([*map(titled, rest)])}."
    ranked = set[Place]().union(*map(_places, whole.values()))
    some = ranked and ranked != _places(r for found in methods.values() for r in found if _map(r) is not None)
    return text + (f" Ranked at {_said(ranked)}, which all have." if some else "")


def _said(places: set[Place]) -> str:
    """`16, 32 bits`, and the class splits where there are some."""
    bits, splits = ({place[part] for place in places} for part in (0, 1))
    text = f"{', '.join(map(str, sorted(bits)))} bits"
    return text if splits == {-1} else f"{text}, class splits {', '.join(map(str, sorted(splits)))}"


def _alone(rows: dict[str, list[Record]]) -> str:
    if len(rows) > 1:
        return f"No {_of(rows)} is common to all methods: nothing to rank."
    ((name, found),) = rows.items()
    places = sorted(_places(found))
    lengths = {bits for bits, _ in places}
    over = f", mean over {len(lengths)} code lengths" if len(lengths) > 1 else ""
    score = f"{titled(name)} with mAP {_mean(found, places):.4f}{over}"
    return f"One method alone, {score}: nothing to compare it with."


def _of(rows: dict[str, list[Record]]) -> str:
    """What a place is."""
    splits = any(record.spec.class_split is not None for found in rows.values() for record in found)
    return "code length and class split" if splits else "code length"


def _mean(records: list[Record], places: list[Place]) -> float:
    """The mean over places of the mean over seeds."""
    means = []
    for place in places:
        values = [score for r in records if _place(r) == place and (score := _map(r)) is not None]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def _lead(
    ctx: Context, mine: list[Record], theirs: list[Record], lengths: list[int], rivals: int
) -> Comparison | None:
    """The lead over the code lengths, on common seeds and queries, of unseen classes seeds and class splits drawn
    together; its interval is that of the best of so many.
    """
    members: list[Changes] = []
    for bits in lengths:
        one, other = ([r for r in side if r.spec.bits == bits] for side in (mine, theirs))
        whole = all(record.spec.class_split is None for record in (*one, *other))
        members.append(ctx.queries.changes(one, other) if whole else over_seeds(one, other, _map))
    return pooled_effect({"all": members}, LEVEL / rivals) if all(members) else None


def _sure(found: Comparison | None, rivals: int, lengths: int) -> str:
    """In words; the p-value times the number of rivals, since the winner was picked by its score."""
    if found is None:
        return "How sure that is cannot be said: no common seeds with stored codes."
    if len(found.seeds) < 2:
        return "One seed: another training may turn it round, so how sure that is cannot be said."
    interval = f"95 % interval{f' of the best of {rivals + 1}' if rivals > 1 else ''} {found.interval}"
    text = f"On common seeds the lead is {found.difference:+.4f}, {interval}, "
    if len(found.seeds) < MIN_SEEDS:
        return f"{text}from {len(found.seeds)} seeds: too few to decide."
    text += f"{len(found.seeds)} seeds: "
    p = min(1.0, found.p * rivals)
    told = "more than chance among seeds explains" if found.difference > 0 else "on these it is behind"
    verdict = told if p < LEVEL else "the two are not told apart"
    over = f"all {lengths}" if lengths > 2 else "both"
    whole = f", over {over} code lengths; bold in the table tests each alone" if lengths > 1 else ""
    return f"{text}{verdict} ({p_text(p)}, adjusted for {_count(rivals, 'rival')}{whole})."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
