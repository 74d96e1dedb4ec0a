"""Metrics on request against enumeration of all orders, sklearn, torchmetrics and plain loops."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.metrics import METRICS, Neighbours, Rules, evaluate, junk_aware_map, pack_codes
from benchmark.metrics.further import FURTHER
from benchmark.scoring import present
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.session import Request, score
from tests.metrics.test_metrics import orders

pytestmark = pytest.mark.processor

TIES = ("expected", "database-order", "optimistic", "pessimistic")
POOLED = [name for name, one in METRICS.items() if one.group == "pooled"]


def one_order(hits: list[bool], k: int | None) -> dict[str, float]:
    """The metrics of one complete order, from their definitions."""
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    every = len(ranks)
    if not every:
        return dict.fromkeys(FURTHER, 0.0)
    inside = [rank for rank in ranks if k is None or rank <= k]
    counted = ranks[:k]
    trapezoids = 0.0
    for found, rank in enumerate(ranks):
        before = 1.0 if rank == 1 else found / (rank - 1)
        trapezoids += (before + (found + 1) / rank) / 2
    return {
        "r_precision": sum(hits[:every]) / every,
        "map_at_r": sum(sum(hits[:rank]) / rank for rank in ranks if rank <= every) / every,
        "mrr": 1 / inside[0] if inside else 0.0,
        "map_first_hits": sum(found / rank for found, rank in enumerate(counted, 1)) / len(counted),
        "map_trapezoid": trapezoids / every,
    }


@pytest.mark.parametrize("ties", TIES)
def test_every_metric_is_the_mean_over_all_orders(ties: str) -> None:
    rng = np.random.default_rng(5)
    for case in range(12):
        size, bits = int(rng.integers(1, 7)), int(rng.integers(1, 4))
        queries, items = rng.random((2, bits)) < 0.5, rng.random((size, bits)) < 0.5
        wanted, labels = rng.integers(0, 2, 2), rng.integers(0, 2, size)
        for k in (None, 1, 2, 3, size + 3):
            codes = pack_codes(queries), pack_codes(items), bits, wanted, labels
            found = evaluate(*codes, rules=Rules(ties, k=k), metrics=FURTHER)
            assert list(found.per_query) == list(FURTHER), "in one order, run for run"
            for row in range(2):
                distances = [int((queries[row] != item).sum()) for item in items]
                gains = [int(label == wanted[row]) for label in labels]
                scores = [
                    one_order([bool(gains[i]) for i in order], k) for order in orders(distances, gains, ties)
                ]
                for key in FURTHER:
                    expected = math.fsum(one[key] for one in scores) / len(scores)
                    assert found.per_query[key][row] == pytest.approx(expected, abs=1e-12), (case, k, key)


def exact_first_hits(groups: list[tuple[int, int]], k: int) -> Fraction:
    """By the distribution of the j-th hit's place in its tie: groups of (items, hits), nearest first."""
    wanted = min(k, sum(hits for _, hits in groups))
    total, items_before, hits_before = Fraction(0), 0, 0
    for items, hits in groups:
        for j in range(1, min(hits, wanted - hits_before) + 1):
            for place in range(j, items - hits + j + 1):
                ways = math.comb(place - 1, j - 1) * math.comb(items - place, hits - j)
                total += Fraction(ways * (hits_before + j), math.comb(items, hits) * (items_before + place))
        items_before, hits_before = items_before + items, hits_before + hits
    return total / wanted


def exact_first_rank(groups: list[tuple[int, int]], k: int) -> Fraction:
    before = 0
    for items, hits in groups:
        if hits:
            places = range(1, min(items - hits + 1, k - before) + 1)
            return sum(
                (
                    Fraction(math.comb(items - at, hits - 1), math.comb(items, hits) * (before + at))
                    for at in places
                ),
                Fraction(0),
            )
        before += items
    return Fraction(0)


@pytest.mark.parametrize("seed", range(4))
def test_large_ties_keep_their_digits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, size = 3, 400
    items, labels = rng.random((size, bits)) < 0.3, rng.random(size) < (0.5, 0.02, 0.9, 0.1)[seed]
    query = np.zeros((1, bits), dtype=bool)
    distances = items.sum(axis=1)
    groups = [(int((distances == d).sum()), int(labels[distances == d].sum())) for d in range(bits + 1)]
    for k in (1, 7, 60, 399):
        found = evaluate(
            pack_codes(query), pack_codes(items), bits, [1], labels.astype(int), rules=Rules(k=k),
            metrics=["map_first_hits", "mrr"],
        ).values  # fmt: skip
        assert found["map_first_hits"] == pytest.approx(float(exact_first_hits(groups, k)), rel=1e-11)
        assert found["mrr"] == pytest.approx(float(exact_first_rank(groups, k)), rel=1e-11)


def test_one_item_a_distance_is_what_torchmetrics_says() -> None:
    import torch
    from torchmetrics.functional.retrieval import retrieval_r_precision, retrieval_reciprocal_rank

    rng, bits = np.random.default_rng(0), 12
    query = np.ones((1, bits), dtype=bool)
    items = ~(np.arange(bits) < np.arange(bits + 1)[:, None])
    for k in (None, 1, 4):
        for _ in range(15):
            labels = rng.integers(0, 2, bits + 1)
            found = evaluate(
                pack_codes(query), pack_codes(items), bits, [1], labels, rules=Rules(k=k),
                metrics=["mrr", "r_precision"],
            ).values  # fmt: skip
            near, relevant = torch.arange(bits + 1, 0, -1).float(), torch.from_numpy(labels == 1)
            theirs = retrieval_reciprocal_rank(near, relevant, top_k=k)
            assert found["mrr"] == pytest.approx(float(theirs), abs=1e-6)
            assert found["r_precision"] == pytest.approx(
                float(retrieval_r_precision(near, relevant)), abs=1e-6
            )


def problem(seed: int = 0, items: int = 40) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    codes = rng.random((9, 5)) < 0.5, rng.random((items, 5)) < 0.5
    return *codes, rng.integers(0, 3, 9), rng.integers(0, 3, items)


@pytest.mark.parametrize("ties", TIES)
def test_pairs_counted_together_are_sklearns_micro_average(ties: str) -> None:
    from sklearn.metrics import average_precision_score, precision_score, recall_score

    q, d, ql, dl = problem()
    distance, relevant = (q[:, None] != d).sum(axis=2), ql[:, None] == dl
    found = evaluate(pack_codes(q), pack_codes(d), 5, ql, dl, rules=Rules(ties), metrics=POOLED)
    assert set(found.values) == set(POOLED)
    assert not found.per_query
    flat = relevant.ravel()
    area = average_precision_score(flat, -distance.ravel())
    assert found.values["micro_ap"] == pytest.approx(area, abs=1e-12)
    for radius in range(6):
        inside = (distance <= radius).ravel()
        curves = found.curves["radius_micro_precision"][radius], found.curves["radius_micro_recall"][radius]
        expected = precision_score(flat, inside, zero_division=0), recall_score(flat, inside)
        assert curves == pytest.approx(expected, abs=1e-12)
        if radius == 2:
            two = found.values["micro_precision_r2"], found.values["micro_recall_r2"]
            assert two == pytest.approx(expected, abs=1e-12)


def test_the_macro_mean_gives_every_class_the_same_weight() -> None:
    q, d, ql, dl = problem(3)
    ql[:] = [0, 0, 0, 0, 0, 1, 1, 2, 7]  # no item is of class 7
    codes = pack_codes(q), pack_codes(d), 5
    for no_hit in ("zero", "skip"):
        rules = Rules(k=7, no_hit=no_hit)
        scores = evaluate(*codes, ql, dl, rules=rules, metrics=["map"]).per_query["map"]
        classes = [scores[ql == one].mean() for one in (0, 1, 2)] + [0.0] * (no_hit == "zero")
        found = evaluate(*codes, ql, dl, rules=rules, metrics=["map_macro"])
        assert found.values == {"map_macro": pytest.approx(np.mean(classes), abs=1e-12)}
        assert found.values["map_macro"] != pytest.approx(np.nanmean(scores), abs=1e-3)
        assert not found.per_query
    eye = np.eye(8, dtype=int)
    one_hot = evaluate(*codes, eye[ql], eye[dl], rules=Rules(k=7), metrics=["map_macro", "map"])
    expected = evaluate(*codes, ql, dl, rules=Rules(k=7), metrics=["map_macro", "map"])
    assert one_hot.values == pytest.approx(expected.values, abs=1e-15)
    assert set(one_hot.per_query) == {"map"}


def revisited(
    distance: np.ndarray, relevant: np.ndarray, junk: np.ndarray, rng: np.random.Generator
) -> float:
    """One query under the rule of revisitop, ties in random order: junk ahead of a hit moves it up."""
    order = rng.permutation(len(distance))
    order = order[np.argsort(distance[order], kind="stable")]
    ranks = [at for at, item in enumerate(order) if item in relevant]
    ahead = [at for at, item in enumerate(order) if item in junk]
    ranks = [at - sum(other < at for other in ahead) for at in ranks]
    area = 0.0
    for found, rank in enumerate(ranks):
        area += (found / rank if rank else 1.0) + (found + 1) / (rank + 1)
    return area / 2 / len(relevant)


def test_junk_is_neither_right_nor_wrong() -> None:
    rng = np.random.default_rng(1)
    q, d, _, _ = problem(1, items=30)
    distance = (q[:, None] != d).sum(axis=2)
    places = [rng.permutation(30) for _ in q]
    relevant, junk = [one[:4] for one in places], [one[4:12] for one in places]
    relevant[5] = relevant[5][:0]  # skipped
    draws = [
        np.mean([revisited(distance[i], relevant[i], junk[i], rng) for i in range(9) if i != 5])
        for _ in range(300)
    ]
    error = 5 * np.std(draws) / np.sqrt(len(draws))
    found = junk_aware_map(q, d, relevant, junk)
    assert found == pytest.approx(np.mean(draws), abs=error)
    empty = [[]] * 9
    assert abs(junk_aware_map(q, d, relevant, empty) - found) > 2 * error, "junk matters here"
    kept = [
        junk_aware_map(q[i : i + 1], np.delete(d, junk[i], axis=0), [shifted(relevant[i], junk[i])], [[]])
        for i in range(9)
        if i != 5
    ]
    assert found == pytest.approx(np.mean(kept), abs=1e-12)  # as if it were not in the database


def shifted(rows: np.ndarray, removed: np.ndarray) -> list[int]:
    return [int(row - (removed < row).sum()) for row in rows]


@pytest.mark.parametrize("ties", TIES)
def test_junk_leaves_every_other_metric_too(ties: str) -> None:
    q, d, ql, dl = problem(2)
    junk = np.arange(3, 21)
    lists = Neighbours(np.arange(10) * len(junk), np.tile(junk, 9))
    rules, names = (
        Rules(ties, k=6),
        [name for name, one in METRICS.items() if one.group in ("ranking", "pooled")],
    )
    found = evaluate(pack_codes(q), pack_codes(d), 5, ql, dl, rules=rules, metrics=names, junk=lists)
    kept = np.delete(d, junk, axis=0), np.delete(dl, junk)
    plain = evaluate(pack_codes(q), pack_codes(kept[0]), 5, ql, kept[1], rules=rules, metrics=names)
    assert {**found.values, "precision@1000": 0} == pytest.approx(
        {**plain.values, "precision@1000": 0}, abs=1e-12
    )


@pytest.mark.parametrize(
    ("relevant", "junk", "message"),
    [
        ([[0]], [[1], []], "relevant has 1 lists but there are 2 queries"),
        ([[0], [1]], [[1], [1]], "item 1 is both relevant and junk for query 1"),
        ([[0], [9]], [[], []], "true neighbours do not fit 2 queries and 3 database items"),
        ([[0], [1]], [[-1], []], "junk lists do not fit 2 queries and 3 database items"),
        ([[0], [1, 1]], [[], []], "relevant of query 1 names an item twice"),
        ([[0], [1]], [[], [0.5]], "junk of query 1 is no list of places"),
    ],
)
def test_lists_that_do_not_fit_are_named(relevant: Any, junk: Any, message: str) -> None:
    codes = np.array([[0, 1], [1, 1]]), np.array([[0, 1], [1, 1], [0, 0]])
    with pytest.raises(InputError, match=message) as caught:
        junk_aware_map(*codes, relevant, junk)
    assert "\n" not in str(caught.value)


def test_a_single_label_rule_refuses_label_sets_and_neighbours() -> None:
    q, d, ql, dl = problem()
    wanted, labels = np.eye(3, dtype=int)[ql], np.eye(3, dtype=int)[dl]
    wanted[4] = 1
    codes = pack_codes(q), pack_codes(d), 5
    with pytest.raises(InputError, match="'map_macro' needs one class for each query; query 4 has 3 labels"):
        evaluate(*codes, wanted, labels, metrics=["map_macro"])
    near = Neighbours(np.arange(10), np.zeros(9, dtype=np.int64))
    with pytest.raises(
        InputError, match="needs a class for each query; relevance here is by true neighbours"
    ):
        evaluate(*codes, (), (), rules=Rules(relevance="neighbours"), metrics=["map_macro"], neighbours=near)


def test_what_is_on_request_is_computed_only_where_it_is_named() -> None:
    q, d, ql, dl = problem()
    asked = {name for name, one in METRICS.items() if one.on_request}
    assert asked == {*FURTHER, *POOLED}
    default = evaluate(pack_codes(q), pack_codes(d), 5, ql, dl)
    assert not asked & set(default.values)
    assert not [name for name in default.curves if "micro" in name]


def test_score_prints_them_with_intervals_where_a_query_has_a_score() -> None:
    q, d, ql, dl = problem()
    codes = CodeSet("x", 5, (q, d), None, (ql, dl), (None, None))
    request = Request(Rules(k=6), metrics=("mrr", "map_first_hits", "micro_ap"), resamples=20)
    outcome = score(codes, request)
    text = present.as_text(outcome)
    assert re.search(r"MRR@6 .*\.\. ", text)
    assert "mAP, first 6 hits" in text
    assert re.search(r"micro AP +0\.\d+ +- \.\. -", text)
    assert ",micro_ap," in present.as_csv(outcome)
    assert set(present.as_dict(outcome)["intervals"]) == {"mrr", "map_first_hits"}
    assert "radius_micro_recall" in present.as_dict(outcome)["curves"]
    assert "micro_ap" not in present.per_query_csv(outcome)
