"""The report's first words: what was compared, what won and how sure that is, made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.report.context import Context, rows_of
from benchmark.report.declared_methods import titled
from benchmark.report.groups import Group, group_records, is_variant
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, Changes, Comparison, p_text, pooled_effect
from benchmark.store.record import Record
from benchmark.store.sweeps import planned_fits

#: Groups beyond so many have their tables alone; of methods that are left out so many are named.
_MOST = 4


@dataclass(frozen=True)
class Headline:
    """One group of numbers in words: what was compared, who won, how sure that is."""

    compared: str
    winner: str
    sure: str


def headlines(ctx: Context) -> list[Headline]:
    """One for each of the first groups, those with a score first: at full labels, else at the most labels."""
    found = [_headline(ctx, group) for group in ctx.main_groups or _with_most_labels(ctx)]
    said = [one for one in found if one is not None]
    said.sort(key=lambda one: one.sure.startswith("No fit"))
    rest = len(said) - _MOST
    return said[:_MOST] + (
        [Headline("", "", f"{_count(rest, 'more comparison')} in the tables.")] if rest > 0 else []
    )


def _with_most_labels(ctx: Context) -> list[Group]:
    """The groups on all classes of a folder without fits at full labels, those with the most labels first."""
    groups = group_records(record for record in ctx.records if record.spec.class_split is None)

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
        name: found for name, all_ in methods.items() if (found := [r for r in all_ if r.score() is not None])
    }
    if not rows:
        return _scoreless(group, methods)
    lengths, whole = _ranked(rows)
    compared = f"{group.title}: {_what(rows)}.{_left_out(methods, whole)}"
    compared += " Each epoch was chosen on the test queries: too good." if group.selection == "peek" else ""
    means = {name: _mean(found, lengths) for name, found in whole.items()}
    order = sorted(means, key=lambda name: (-round(means[name], 10), name))
    if len(order) < 2:
        return Headline(compared, "", _alone(rows))
    first, second = order[0], order[1]
    over = f", mean over {_count(len(lengths), 'code length')}" if len(lengths) > 1 else ""
    equal = [titled(name) for name in order if f"{means[name]:.4f}" == f"{means[first]:.4f}"]
    winner = (
        f"{titled(first)} has the highest mAP: {means[first]:.4f}{over}, "
        f"{means[first] - means[second]:.4f} above {titled(second)} ({means[second]:.4f})."
    )
    if len(equal) > 1:
        winner = f"{', '.join(equal[:-1])} and {equal[-1]} share the highest mAP: {means[first]:.4f}{over}."
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


def _lengths(records: list[Record]) -> set[int]:
    return {record.spec.bits for record in records}


def _ranked(rows: dict[str, list[Record]]) -> tuple[list[int], dict[str, list[Record]]]:
    """The code lengths that methods are ranked over and the methods that have all of them: every length, or, where
    fewer than two methods have every one, those that all methods share.
    """
    every = set[int]().union(*map(_lengths, rows.values()))
    whole = {name: found for name, found in rows.items() if _lengths(found) == every}
    if len(whole) > 1:
        return sorted(every), whole
    shared = every.intersection(*map(_lengths, rows.values()))
    return sorted(shared), {
        name: kept for name, found in rows.items() if (kept := [r for r in found if r.spec.bits in shared])
    }


def _what(rows: dict[str, list[Record]]) -> str:
    """`3 methods at 16, 32 bits, 1 to 5 seeds`: what has a score."""
    every = [record for found in rows.values() for record in found]
    methods, bits = {record.spec.method for record in every}, sorted(_lengths(every))
    text = _count(len(methods), "method")
    text = text if len(methods) == len(rows) else f"{len(rows)} configurations of {text}"
    seeds = Counter((name, r.spec.bits) for name, found in rows.items() for r in found).values()
    many = _count(max(seeds), "seed")
    many = many if min(seeds) == max(seeds) else f"{min(seeds)} to {many}"
    return f"{text} at {', '.join(map(str, bits))} bits, {many}"


def _left_out(methods: dict[str, list[Record]], whole: dict[str, list[Record]]) -> str:
    """Methods that were run and are not ranked, and that a ranking is over some code lengths alone."""
    out = {name: found for name, found in sorted(methods.items()) if name not in whole}
    failed = [name for name, found in out.items() if all(record.failure for record in found)]
    rest = [name for name in out if name not in failed]
    text = f" Failed: {_some([*map(titled, failed)])}." if whole and failed else ""
    if whole and rest:
        text += f" Not ranked, for want of a score at every code length: {_some([*map(titled, rest)])}."
    ranked = set[int]().union(*map(_lengths, whole.values()))
    some = ranked and ranked != {
        r.spec.bits for found in methods.values() for r in found if r.score() is not None
    }
    return text + (f" Ranked at {', '.join(map(str, sorted(ranked)))} bits, which all have." if some else "")


def _alone(rows: dict[str, list[Record]]) -> str:
    if len(rows) > 1:
        return "No code length is common to all methods: nothing to rank."
    ((name, found),) = rows.items()
    lengths = sorted(_lengths(found))
    over = f", mean over {len(lengths)} code lengths" if len(lengths) > 1 else ""
    score = f"{titled(name)} with mAP {_mean(found, lengths):.4f}{over}"
    return f"One method alone, {score}: nothing to compare it with."


def _mean(records: list[Record], lengths: list[int]) -> float:
    """The mean over code lengths of the mean over seeds."""
    means = []
    for bits in lengths:
        values = [score for r in records if r.spec.bits == bits and (score := r.score()) is not None]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def _lead(
    ctx: Context, mine: list[Record], theirs: list[Record], lengths: list[int], rivals: int
) -> Comparison | None:
    """The lead over the code lengths, on common seeds and queries; its interval is that of the best of so many."""
    members: list[Changes] = []
    for bits in lengths:
        sides = [[r for r in side if r.spec.bits == bits] for side in (mine, theirs)]
        members.append(ctx.queries.changes(*sides))
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
