"""The scores of a block of queries, from its counts or from its orders, under the rules of a plan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.further import FURTHER
from benchmark.metrics.groups import average_precision, discount_table, found_at, gain_at, tie_groups
from benchmark.metrics.ordered import Hits, ordered_average_precision, ordered_found, ordered_gain, rank_query
from benchmark.metrics.pooled import MICRO, RADIUS
from benchmark.metrics.problem import Hist, Problem
from benchmark.metrics.rules import Rules
from benchmark.metrics.ties import Floats

#: A ranking of fewer items costs less than handing it to a thread.
_WORTH_THREADS = 100_000


@dataclass(frozen=True)
class Plan:
    """What to compute: rules, metric names, the N of the scalars, the ranks of the curves."""

    rules: Rules
    wanted: frozenset[str]
    at: NDArray[np.int64]
    cutoffs: NDArray[np.int64]
    levels: int
    items: int

    @cached_property
    def shared(self) -> Floats:
        """The gain of each level as the number of shared labels."""
        return np.arange(self.levels, dtype=np.float64)

    @cached_property
    def exponential(self) -> Floats:
        """The gain of each level as NDCG has it."""
        return np.exp2(self.shared) - 1

    @cached_property
    def discounts(self) -> Floats:
        """Running sums of NDCG's discounts as far as k reaches."""
        return discount_table(self.items)


@dataclass(frozen=True)
class Block:
    """Per-query scores (queries,) and curves (queries, points); NaN where a rule skips the query.

    pooled: counts (bits + 1, levels) over all queries, where a metric of pairs is wanted.
    """

    values: dict[str, Floats]
    curves: dict[str, Floats]
    pooled: Hist | None = None


def _ruled(values: Floats, counted: NDArray[np.bool_], rule: str) -> Floats:
    """Apply `zero` or `skip` to the queries (rows) that do not count."""
    counted = counted if values.ndim == 1 else np.broadcast_to(counted[:, None], values.shape)
    return np.where(counted, values, 0.0 if rule == "zero" else np.nan)


def _ratio(above: Floats, below: Floats) -> Floats:
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _by_rank(plan: Plan, found: tuple[Floats, Floats, Floats], relevant: Floats) -> dict[str, Floats]:
    """precision, recall and hit rate (queries, points)."""
    taken, hits, chance = found
    recall = _ruled(_ratio(hits, relevant[:, None]), relevant > 0, plan.rules.no_hit)
    return {"precision": _ratio(hits, taken), "recall": recall, "hit_rate": chance}


def _within_radius(plan: Plan, hist: Hist) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Precision and recall (queries, radii), and which balls hold anything."""
    ball = np.cumsum(hist.sum(axis=2), axis=1).astype(np.float64)
    hits = np.cumsum(hist[:, :, 1:].sum(axis=2), axis=1).astype(np.float64)
    filled = ball > 0
    empty = 0.0 if plan.rules.empty_ball == "zero" else np.nan
    precision = np.where(filled, _ratio(hits, ball), empty)
    recall = np.where(filled, _ratio(hits, hits[:, -1:]), empty)
    return precision, _ruled(recall, hits[:, -1] > 0, plan.rules.no_hit), filled


def _radius_scores(plan: Plan, hist: Hist) -> Block:
    """What a Hamming radius decides, whatever the order inside a distance."""
    values: dict[str, Floats] = {}
    curves: dict[str, Floats] = {}
    if plan.wanted & {"precision_r2", "recall_r2"} or len(plan.cutoffs):
        precision, recall, _ = _within_radius(plan, hist)
        column = min(RADIUS, hist.shape[1] - 1)
        if "precision_r2" in plan.wanted:
            values["precision_r2"] = precision[:, column]
        if "recall_r2" in plan.wanted:
            values["recall_r2"] = recall[:, column]
        if len(plan.cutoffs):
            curves = {"radius_precision": precision, "radius_recall": recall}
    return Block(values, curves, hist.sum(axis=0) if plan.wanted & set(MICRO) else None)


def _rank_scores(plan: Plan, found: tuple[Floats, Floats, Floats], relevant: Floats) -> Block:
    """Split the columns of all ranks into the scalars at N and the curves."""
    scores = _by_rank(plan, found, relevant)
    split = len(plan.at)
    values = {
        f"{name}@{n}": scores[name][:, column]
        for name in ("precision", "recall", "hit_rate")
        if name in plan.wanted
        for column, n in enumerate(plan.at)
    }
    curves = {name: column[:, split:] for name, column in scores.items()} if len(plan.cutoffs) else {}
    return Block(values, curves)


def score_counts(hist: Hist, plan: Plan) -> Block:
    """Scores of a block from its counts (queries, bits + 1, levels)."""
    rules, wanted = plan.rules, plan.wanted
    groups = tie_groups(hist, rules.ties)
    values: dict[str, Floats] = {}
    curves: dict[str, Floats] = {}
    if "map" in wanted:
        values["map"] = _ruled(*average_precision(groups, rules.k, rules.normaliser), rules.no_hit)
    if len(plan.at) + len(plan.cutoffs):
        found = found_at(groups, np.concatenate([plan.at, plan.cutoffs]))
        ranked = _rank_scores(plan, found, groups.relevant)
        values.update(ranked.values)
        curves.update(ranked.curves)
    radius = _radius_scores(plan, hist)
    values.update(radius.values)
    curves.update(radius.curves)
    if "map_r2" in wanted:
        values["map_r2"] = _ball_precision(hist, plan)
    for name in (one for one in FURTHER if one in wanted):
        values[name] = _ruled(*FURTHER[name].of_groups(groups, rules.k), rules.no_hit)
    values.update(_graded_counts(hist, plan))
    return Block(values, curves, radius.pooled)


def _ball_precision(hist: Hist, plan: Plan) -> Floats:
    """Average precision of the items within radius 2."""
    rules = plan.rules
    ball = tie_groups(hist[:, : RADIUS + 1], rules.ties)
    values, possible = average_precision(ball, None, "retrieved-in-k")
    if rules.normaliser == "all-relevant":
        relevant = hist[:, :, 1:].sum(axis=(1, 2)).astype(np.float64)
        values, possible = _ratio(values * ball.relevant, relevant), relevant > 0
    return _ruled_ball(values, possible, ball.items > 0, rules)


def _ruled_ball(
    values: Floats, possible: NDArray[np.bool_], filled: NDArray[np.bool_], rules: Rules
) -> Floats:
    """The empty-ball rule for empty balls, the no-hit rule for the others."""
    ruled = _ruled(values, possible, rules.no_hit)
    return np.where(filled, ruled, 0.0 if rules.empty_ball == "zero" else np.nan)


def _graded_counts(hist: Hist, plan: Plan) -> dict[str, Floats]:
    rules, values = plan.rules, {}
    if plan.wanted & {"acg", "wap"}:
        shared = tie_groups(hist, rules.ties, plan.shared)
        if "acg" in plan.wanted:
            places = shared.items if rules.k is None else np.minimum(shared.items, rules.k)
            values["acg"] = _ratio(gain_at(shared, rules.k), places)
        if "wap" in plan.wanted:
            values["wap"] = _ruled(*average_precision(shared, rules.k, rules.normaliser), rules.no_hit)
    if "ndcg" in plan.wanted:
        groups = tie_groups(hist, rules.ties, plan.exponential)
        best = _ideal(hist, plan)
        values["ndcg"] = _ruled(
            _ratio(gain_at(groups, rules.k, plan.discounts), best), best > 0, rules.no_hit
        )
    return values


def _ideal(hist: Hist, plan: Plan) -> Floats:
    """The discounted gain of the best possible order, for each query."""
    levels = hist.sum(axis=1, keepdims=True)
    best = tie_groups(levels, "optimistic", plan.exponential)
    return gain_at(best, plan.rules.k, plan.discounts)


def score_order(problem: Problem, plan: Plan, low: int, high: int, engine: str, threads: int) -> Block:
    """Scores of queries low:high where ties stand in database order."""

    def one(query: int) -> Block:
        hist, hits = rank_query(problem, query, engine)
        return _score_hits(hist[None], hits, plan)

    if threads > 1 and problem.items >= _WORTH_THREADS:
        with ThreadPoolExecutor(threads) as pool:
            blocks = list(pool.map(one, range(low, high)))
    else:
        blocks = [one(query) for query in range(low, high)]
    first = blocks[0]
    pooled = [block.pooled for block in blocks if block.pooled is not None]
    return Block(
        {key: np.concatenate([block.values[key] for block in blocks]) for key in first.values},
        {key: np.concatenate([block.curves[key] for block in blocks]) for key in first.curves},
        np.sum(pooled, axis=0) if pooled else None,
    )


def _score_hits(hist: Hist, hits: Hits, plan: Plan) -> Block:
    """Scores of one query from its counts (1, bits + 1, levels) and the ranks of its relevant items."""
    rules, wanted = plan.rules, plan.wanted
    relevant = np.array([float(len(hits.ranks))])
    block = _radius_scores(plan, hist)
    values, curves = dict(block.values), dict(block.curves)
    if "map" in wanted:
        values["map"] = _ruled_one(ordered_average_precision(hits, rules.k, rules.normaliser), rules)
    if len(plan.at) + len(plan.cutoffs):
        taken, found, chance = ordered_found(hits, np.concatenate([plan.at, plan.cutoffs]))
        ranked = _rank_scores(plan, (taken[None], found[None], chance[None]), relevant)
        values.update(ranked.values)
        curves.update(ranked.curves)
    if "map_r2" in wanted:
        ball = int(hist[:, : RADIUS + 1].sum())
        value, possible = ordered_average_precision(hits, ball, rules.normaliser)
        values["map_r2"] = _ruled_ball(np.array([value]), np.array([possible]), np.array([ball > 0]), rules)
    for name in (one for one in FURTHER if one in wanted):
        values[name] = _ruled_one(FURTHER[name].of_order(hits, rules.k), rules)
    values.update(_graded_hits(hist, hits, plan))
    return Block(values, curves, block.pooled)


def _ruled_one(scored: tuple[float, bool], rules: Rules) -> Floats:
    return _ruled(np.array([scored[0]]), np.array([scored[1]]), rules.no_hit)


def _graded_hits(hist: Hist, hits: Hits, plan: Plan) -> dict[str, Floats]:
    rules, values = plan.rules, {}
    if "acg" in plan.wanted:
        places = hits.items if rules.k is None else min(hits.items, rules.k)
        gain = ordered_gain(hits, rules.k, plan.shared, discounted=False)
        values["acg"] = np.array([gain / places if places else 0.0])
    if "wap" in plan.wanted:
        scored = ordered_average_precision(hits, rules.k, rules.normaliser, weighted=True)
        values["wap"] = _ruled_one(scored, rules)
    if "ndcg" in plan.wanted:
        best = _ideal(hist, plan)
        found = np.array([ordered_gain(hits, rules.k, plan.exponential, discounted=True)])
        values["ndcg"] = _ruled(_ratio(found, best), best > 0, rules.no_hit)
    return values
