"""The report's first words: what was compared, what won and how sure that is, made from the numbers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report.claims.judge import LEVEL, MIN_SEEDS
from benchmark.report.context import Context, rows_of
from benchmark.report.declared_methods import known
from benchmark.report.groups import Group, is_variant
from benchmark.report.statistics.effect import Changes, Comparison, p_text, pooled_effect
from benchmark.store.record import Record

#: Groups beyond so many have their tables alone.
_MOST = 4


@dataclass(frozen=True)
class Headline:
    """One group of numbers in words: what was compared, who won, how sure that is."""

    compared: str
    winner: str
    sure: str


def headlines(ctx: Context) -> list[Headline]:
    """One for each of the first groups at full labels with a score."""
    found = [_headline(ctx, group) for group in ctx.main_groups]
    return [one for one in found if one is not None][:_MOST]


def _headline(ctx: Context, group: Group) -> Headline | None:
    records = group.of(lambda r: r.score() is not None and not is_variant(r.spec.method))
    rows, lengths = rows_of(records), sorted({record.spec.bits for record in records})
    if not rows:
        return None
    seeds = {record.spec.seed for record in records}
    compared = f"{group.title}: {_count(len(rows), 'method')} at {', '.join(map(str, lengths))} bits, "
    compared += f"{_count(len(seeds), 'seed')}."
    whole = {name: found for name, found in rows.items() if {r.spec.bits for r in found} == {*lengths}}
    means = {name: _mean(found, lengths) for name, found in whole.items()}
    order = sorted(means, key=lambda name: (-round(means[name], 10), name))
    if len(order) < 2:
        return Headline(compared, "", "One method at every code length: nothing to compare it with.")
    first, second = order[0], order[1]
    lead = means[first] - means[second]
    over = f", mean over {_count(len(lengths), 'code length')}" if len(lengths) > 1 else ""
    winner = (
        f"{title(whole[first][0], first)} has the highest mAP: {means[first]:.4f}{over}, "
        f"{lead:.4f} above {title(whole[second][0], second)} ({means[second]:.4f})."
    )
    found = _lead(ctx, whole[first], whole[second], lengths)
    return Headline(compared, winner, _sure(found, len(order) - 1))


def _mean(records: list[Record], lengths: list[int]) -> float:
    """The mean over code lengths of the mean over seeds."""
    means = []
    for bits in lengths:
        values = [score for r in records if r.spec.bits == bits and (score := r.score()) is not None]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def _lead(ctx: Context, mine: list[Record], theirs: list[Record], lengths: list[int]) -> Comparison | None:
    """The lead over the code lengths, on common seeds and queries."""
    members: list[Changes] = []
    for bits in lengths:
        sides = [[r for r in side if r.spec.bits == bits] for side in (mine, theirs)]
        members.append(ctx.queries.changes(*sides))
    return pooled_effect({"all": members}) if all(members) else None


def _sure(found: Comparison | None, rivals: int) -> str:
    """In words; the p-value times the number of rivals, since the winner was picked by its score."""
    if found is None:
        return "How sure that is cannot be said: no common seeds with stored codes."
    if len(found.seeds) < 2:
        return "One seed: another training may turn it round, so how sure that is cannot be said."
    text = f"On common seeds the lead is {found.difference:+.4f}, 95 % interval {found.interval}, "
    if len(found.seeds) < MIN_SEEDS:
        return f"{text}from {len(found.seeds)} seeds: too few to decide."
    p = min(1.0, found.p * rivals)
    told = p < LEVEL and found.difference > 0
    verdict = "more than chance among seeds explains" if told else "the two are not told apart"
    return f"{text}{len(found.seeds)} seeds: {verdict} ({p_text(p)}, adjusted for {_count(rivals, 'rival')})."


def title(record: Record, row: str) -> str:
    """A method by its title, with what its row says beyond the name."""
    declared = known(record.spec.method)
    name = declared.title if declared is not None and declared.title else record.spec.method
    return f"{name}{row.removeprefix(record.spec.method)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
