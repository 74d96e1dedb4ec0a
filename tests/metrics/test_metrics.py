"""Every metric against enumeration of all orders and against plain loops."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import metrics
from benchmark.errors import InputError
from benchmark.metrics import METRICS, Rules, evaluate, mean_average_precision, metric_of, pack_codes, table

pytestmark = pytest.mark.processor

NORMALISERS = ("retrieved-in-k", "all-relevant")
AT = (1, 2, 4, 30)


def one_order(gains, distances, k, normaliser):
    """Every score of one complete order, by plain loops. gains and distances in rank order."""
    n, total = len(gains), sum(g > 0 for g in gains)
    limit = n if k is None else min(k, n)

    def precision_sum(length, weighted=False):
        so_far, found, result = 0, 0, 0.0
        for rank in range(1, length + 1):
            gain = gains[rank - 1]
            so_far += gain if weighted else (gain > 0)
            if gain > 0:
                found += 1
                result += so_far / rank
        below = found if normaliser == "retrieved-in-k" else total
        return result / below if below else 0.0

    def dcg(values):
        return sum((2**g - 1) / math.log2(1 + rank) for rank, g in enumerate(values[:limit], 1))

    ball = sum(d <= 2 for d in distances)
    in_ball = sum(g > 0 for g in gains[:ball])
    ideal = dcg(sorted(gains, reverse=True))
    scores = {
        "map": precision_sum(limit),
        "wap": precision_sum(limit, weighted=True),
        "map_r2": precision_sum(ball),
        "precision_r2": in_ball / ball if ball else 0.0,
        "recall_r2": in_ball / total if total else 0.0,
        "acg": sum(gains[:limit]) / limit,
        "ndcg": dcg(gains) / ideal if ideal else 0.0,
    }
    for cut in AT:
        found = sum(g > 0 for g in gains[:cut])
        scores[f"precision@{cut}"] = found / min(cut, n)
        scores[f"recall@{cut}"] = found / total if total else 0.0
        scores[f"hit_rate@{cut}"] = float(found > 0)
    return scores


def orders(distances, gains, ties):
    """The orders that a tie rule stands for."""
    rows = range(len(distances))
    if ties == "expected":
        groups = [[i for i in rows if distances[i] == d] for d in sorted(set(distances))]
        for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
            yield [i for part in parts for i in part]
        return
    key = {
        "database-order": lambda i: (distances[i], i),
        "optimistic": lambda i: (distances[i], -gains[i]),
        "pessimistic": lambda i: (distances[i], gains[i]),
    }[ties]
    yield sorted(rows, key=key)


def reference(query, items, wanted, labels, k, ties, normaliser):
    distances = [int((query != item).sum()) for item in items]
    gains = [int((wanted & label).sum()) for label in labels]
    rows = [
        one_order([gains[i] for i in order], [distances[i] for i in order], k, normaliser)
        for order in orders(distances, gains, ties)
    ]
    return {key: math.fsum(row[key] for row in rows) / len(rows) for key in rows[0]}


@pytest.mark.parametrize("ties", ["expected", "database-order", "optimistic", "pessimistic"])
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_every_metric_is_the_mean_over_all_orders(ties, normaliser):
    rng = np.random.default_rng(3)
    for case in range(14):
        size, bits = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        queries, items = rng.random((2, bits)) < 0.5, rng.random((size, bits)) < 0.5
        wanted, labels = rng.random((2, 4)) < 0.6, rng.random((size, 4)) < 0.4
        for k in (None, 1, 2, 3, size, size + 3):
            found = evaluate(
                pack_codes(queries),
                pack_codes(items),
                bits,
                wanted,
                labels,
                rules=Rules(ties, normaliser, k=k, relevance="graded"),
                at=AT,
            )
            for row in range(2):
                expected = reference(queries[row], items, wanted[row], labels, k, ties, normaliser)
                assert set(expected) == set(found.per_query)
                for key, value in expected.items():
                    assert found.per_query[key][row] == pytest.approx(value, abs=1e-12), (case, k, key)


def exact_expected(distances, relevant, k, normaliser):
    """Tie-averaged AP@k in exact fractions, summing over the number of cut hits inside k."""
    n, total = len(relevant), sum(relevant)
    limit = n if k is None else min(k, n)
    done = hits = 0
    base = Fraction(0)
    for d in sorted(set(distances)):
        group = [r for x, r in zip(distances, relevant) if x == d]
        size, good = len(group), sum(group)
        drawn = min(size, limit - done)
        if drawn < size:
            result = Fraction(0)
            for j in range(max(0, drawn - size + good), min(drawn, good) + 1):
                weight = Fraction(
                    math.comb(good, j) * math.comb(size - good, drawn - j), math.comb(size, drawn)
                )
                below = hits + j if normaliser == "retrieved-in-k" else total
                if below:
                    result += weight * (base + block(j, drawn, done, hits)) / below
            return float(result)
        base += block(good, size, done, hits)
        done, hits = done + size, hits + good
    below = hits if normaliser == "retrieved-in-k" else total
    return float(base / below) if below else 0.0


def block(good, size, done, hits):
    result = Fraction(0)
    for t in range(1, size + 1):
        others = Fraction((t - 1) * (good - 1), size - 1) if size > 1 else Fraction(0)
        result += Fraction(good, size) * (hits + 1 + others) / (done + t)
    return result


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data())
def test_expected_map_against_exact_fractions(data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    size, bits = (
        data.draw(st.integers(1, 90)),
        data.draw(st.sampled_from([1, 2, 3, 7, 8, 9, 63, 64, 65, 200])),
    )
    rng = np.random.default_rng(seed)
    share = data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    flip = data.draw(st.sampled_from([0.05, 0.5]))
    query, items = np.zeros((1, bits), dtype=bool), rng.random((size, bits)) < flip
    relevant = rng.random(size) < share
    k = data.draw(st.one_of(st.none(), st.integers(1, size + 20)))
    for normaliser in NORMALISERS:
        found = mean_average_precision(query, items, [1], relevant.astype(int), k=k, normaliser=normaliser)
        expected = exact_expected(items.sum(axis=1).tolist(), relevant.tolist(), k, normaliser)
        assert found == pytest.approx(expected, abs=1e-12)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.data())
def test_fixed_orders_against_a_plain_loop(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    size, bits = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 256))
    width = data.draw(st.sampled_from([1, 5, 64, 65, 130]))
    ties = data.draw(st.sampled_from(["database-order", "optimistic", "pessimistic"]))
    normaliser = data.draw(st.sampled_from(NORMALISERS))
    k = data.draw(st.one_of(st.none(), st.integers(1, size + 20)))
    queries, items = rng.random((3, bits)) < 0.2, rng.random((size, bits)) < 0.1
    wanted, labels = rng.random((3, width)) < 3 / width, rng.random((size, width)) < 3 / width
    rules = Rules(ties, normaliser, k=k, relevance="graded")
    found = evaluate(pack_codes(queries), pack_codes(items), bits, wanted, labels, rules=rules, at=AT)
    for row in range(3):
        expected = reference(queries[row], items, wanted[row], labels, k, ties, normaliser)
        for key, value in expected.items():
            assert found.per_query[key][row] == pytest.approx(value, abs=1e-11), key


def test_a_hand_worked_ranking():
    # Distances 0 0 1 2; the relevant item of the first pair is first or second with even odds.
    items = [[0, 0], [0, 0], [0, 1], [1, 1]]
    found = mean_average_precision([[0, 0]], items, [7], [7, 1, 1, 7])
    assert found == pytest.approx(((1 + 2 / 4) / 2 + (1 / 2 + 2 / 4) / 2) / 2)
    assert mean_average_precision([[0, 0]], items, [7], [7, 1, 1, 7], ties="optimistic") == 0.75
    assert mean_average_precision([[0, 0]], items, [7], [7, 1, 1, 7], k=1, ties="pessimistic") == 0.0


def test_deep_ties_keep_their_digits():
    # One relevant item among a million at one distance: the mean of 1/rank is H(n)/n.
    size = 1_000_000
    labels = np.zeros(size, dtype=np.int64)
    labels[123] = 1
    items = np.zeros((size, 8), dtype=bool)
    expected = math.fsum(1 / i for i in range(1, size + 1)) / size
    assert mean_average_precision(items[:1], items, [1], labels) == pytest.approx(expected, rel=1e-13)
    below = math.fsum(1 / i for i in range(1, 501)) / size
    assert mean_average_precision(items[:1], items, [1], labels, k=500) == pytest.approx(below, rel=1e-13)
    # The relevant item alone at the far end: precision 1/n, where a naive harmonic difference fails.
    items[123] = True
    assert mean_average_precision(items[:1], items, [1], labels) == pytest.approx(1 / size, rel=1e-12)


@pytest.mark.parametrize("ties", ["expected", "database-order", "optimistic", "pessimistic"])
def test_queries_without_a_hit_and_empty_balls(ties):
    items = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    queries = np.array([[1, 1, 1, 1], [0, 0, 0, 0]])
    packed = pack_codes(queries), pack_codes(items)
    zero = evaluate(*packed, 4, [0, 9], [0, 1], rules=Rules(ties))
    assert (zero.values["map"], zero.values["map_r2"], zero.values["precision_r2"]) == (0.5, 0.5, 0.25)
    skip = evaluate(*packed, 4, [0, 9], [0, 1], rules=Rules(ties, no_hit="skip", empty_ball="skip"))
    assert (skip.values["map"], skip.values["map_r2"], skip.values["precision_r2"]) == (1.0, 1.0, 0.5)
    assert np.isnan(skip.per_query["map"]).tolist() == [False, True]
    none = evaluate(*packed, 4, [8, 9], [0, 1], rules=Rules(ties, no_hit="skip"))
    assert np.isnan(none.values["map"])
    assert none.as_dict()["values"]["map"] is None


@pytest.mark.parametrize("ties", ["expected", "database-order", "optimistic", "pessimistic"])
@pytest.mark.parametrize("multi", [False, True])
def test_excluding_the_query_equals_scoring_without_it(ties, multi):
    rng = np.random.default_rng(0)
    codes, labels = rng.random((40, 11)) < 0.3, rng.integers(0, 3, 40)
    if multi:
        labels = np.eye(3, dtype=int)[labels]
    found = [
        mean_average_precision(
            codes[i : i + 1], np.delete(codes, i, 0), labels[i : i + 1], np.delete(labels, i, 0), ties=ties
        )
        for i in range(10)
    ]
    for ids in (np.arange(40), [f"image {i}" for i in range(40)]):
        left = mean_average_precision(
            codes[:10], codes, labels[:10], labels, ties=ties, query_ids=ids[:10], database_ids=ids
        )
        assert left == pytest.approx(np.mean(found), abs=1e-12)
    assert mean_average_precision(codes[:10], codes, labels[:10], labels, ties=ties) > left
    only = mean_average_precision(
        codes[:1], codes[:1], labels[:1], labels[:1], ties=ties, query_ids=[5], database_ids=[5]
    )
    assert only == 0.0


def test_the_siblings_agree_with_evaluate():
    rng = np.random.default_rng(1)
    queries, items = rng.standard_normal((9, 20)), rng.standard_normal((150, 20))
    wanted, labels = rng.random((9, 6)) < 0.3, rng.random((150, 6)) < 0.3
    codes = queries, items, wanted, labels
    rules = Rules(relevance="graded", k=50)
    found = evaluate(pack_codes(queries), pack_codes(items), 20, wanted, labels, rules=rules, at=[7]).values
    assert metrics.precision_at(*codes, 7) == found["precision@7"]
    assert metrics.recall_at(*codes, 7) == found["recall@7"]
    assert metrics.hit_rate_at(*codes, 7) == found["hit_rate@7"]
    assert metrics.precision_within_radius(*codes) == found["precision_r2"]
    assert metrics.recall_within_radius(*codes) == found["recall_r2"]
    assert metrics.mean_average_precision_within_radius(*codes) == found["map_r2"]
    assert metrics.ndcg(*codes, k=50) == found["ndcg"]
    assert metrics.acg(*codes, k=50) == found["acg"]
    assert metrics.wap(*codes, k=50) == found["wap"]
    assert metrics.mean_average_precision(*codes, k=50) == found["map"]


def test_curves_by_rank_and_by_radius():
    rng = np.random.default_rng(2)
    queries, items = rng.random((4, 12)) < 0.4, rng.random((60, 12)) < 0.4
    wanted, labels = rng.integers(0, 3, 4), rng.integers(0, 3, 60)
    found = metrics.curves(queries, items, wanted, labels, cutoffs=range(1, 61), ties="database-order")
    distance = (queries[:, None] != items[None]).sum(axis=2)
    relevant = wanted[:, None] == labels
    ranked = np.take_along_axis(relevant, np.argsort(distance, axis=1, kind="stable"), axis=1)
    ranks = np.arange(1, 61)
    np.testing.assert_allclose(found["precision"], (ranked.cumsum(1) / ranks).mean(0), atol=1e-12)
    np.testing.assert_allclose(
        found["recall"], (ranked.cumsum(1) / relevant.sum(1)[:, None]).mean(0), atol=1e-12
    )
    np.testing.assert_allclose(found["hit_rate"], (ranked.cumsum(1) > 0).mean(0), atol=1e-12)
    balls = [(distance <= radius) for radius in range(13)]
    precision = [
        np.where(ball.any(1), (ball & relevant).sum(1) / np.maximum(ball.sum(1), 1), 0).mean()
        for ball in balls
    ]
    np.testing.assert_allclose(found["radius_precision"], precision, atol=1e-12)
    recall = [((ball & relevant).sum(1) / relevant.sum(1)).mean() for ball in balls]
    np.testing.assert_allclose(found["radius_recall"], recall, atol=1e-12)
    assert len(metrics.curves(queries, items, wanted, labels)["cutoffs"]) > 10


def test_codes_of_every_kind_give_one_number():
    import torch

    rng = np.random.default_rng(4)
    ones = rng.random((30, 19)) < 0.5
    labels = rng.integers(0, 4, 30)
    expected = mean_average_precision(ones[:5], ones, labels[:5], labels)
    signs = ones * 2 - 1
    wide = np.zeros((60, 38), dtype=np.float32)
    wide[::2, ::2] = signs
    kinds = [
        ones.astype(np.uint8),
        signs.astype(np.int8),
        signs.astype(np.float16) * 0.3,
        np.asfortranarray(signs * np.inf),
        wide[::2, ::2],
        signs.astype(">i4"),
        signs.tolist(),
        torch.from_numpy(signs).to(torch.bfloat16).requires_grad_(),
        torch.from_numpy(ones),
    ]
    for codes in kinds:
        for given_labels in (
            labels,
            labels.tolist(),
            labels.astype(float),
            labels[:, None] + 2,
            torch.from_numpy(labels),
        ):
            assert mean_average_precision(codes[:5], codes, given_labels[:5], given_labels) == expected
    one_hot = np.eye(4)[labels]
    for multi in (one_hot, one_hot * 2 - 1, one_hot.astype(bool), one_hot.tolist()):
        assert mean_average_precision(ones[:5], ones, multi[:5], multi) == pytest.approx(expected, abs=1e-12)


def test_a_lone_integer_query_is_read_like_the_database():
    items = [[1, 1, -1], [-1, 1, 1]]
    assert mean_average_precision([[1, 1, 1]], items, [0], [0, 1], ties="pessimistic") == 0.5
    # 0 is the middle of -1/+1 here, not the low bit of 0/1
    with_zero = mean_average_precision([[0, 1, 0]], items, [0], [0, 1], ties="database-order", sign_zero=-1)
    assert with_zero == mean_average_precision([[-1, 1, -1]], items, [0], [0, 1], ties="database-order")


BAD_RULES = [
    ({"ties": "best"}, "ties is 'best'"),
    ({"normaliser": None}, "normaliser is None"),
    ({"no_hit": "drop"}, "no_hit is 'drop'"),
    ({"empty_ball": 0}, "empty_ball is 0"),
    ({"sign_zero": 0}, "sign_zero is 0"),
    ({"sign_zero": True}, "sign_zero is True"),
    ({"relevance": "all"}, "relevance is 'all'"),
    ({"k": 0}, "k is 0"),
    ({"k": -1}, "k is -1"),
    ({"k": 2.5}, "k is 2.5"),
    ({"k": True}, "k is True"),
    ({"exclude_self": 1}, "exclude_self is 1"),
]


@pytest.mark.parametrize(("options", "message"), BAD_RULES)
def test_rules_refuse_what_they_do_not_know(options, message):
    with pytest.raises(InputError, match=message):
        Rules(**options)


def test_rules_describe_themselves():
    rules = Rules(k=np.int64(5000), exclude_self=True)
    assert rules.as_dict()["k"] == 5000
    assert Rules(**rules.as_dict()) == rules
    text = rules.describe()
    assert text.startswith("mAP@5000, ties averaged over all orders")
    assert "left out" in text
    assert "\n" not in text


def test_the_table_of_metrics_is_complete():
    rng = np.random.default_rng(0)
    codes, labels = pack_codes(rng.standard_normal((5, 6))), rng.random((5, 3)) < 0.5
    found = evaluate(codes, codes, 6, labels, labels, rules=Rules(relevance="graded"))
    named = {metric_of(key).name for key in found.values} | set(metrics.code_health(codes, 6)) | {"auroc"}
    assert named == {name for name, metric in METRICS.items() if not metric.on_request}
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.direction in ("max", "min")
        format(0.5, metric.format)
    with pytest.raises(InputError, match="did you mean ndcg"):
        metric_of("ndgc@10")


BAD_CALLS = [
    (([[1, 0]], [[1, 0]], [1], [1, 2]), {}, "database codes have 1 rows but database labels have 2"),
    (([[1, 0]], [[1, 0, 1]], [1], [1]), {}, "query codes have 2 bits but database codes have 3"),
    (([[1.0, np.nan]], [[1.0, 0.5]], [1], [1]), {}, "query codes contain NaN, first in row 0"),
    ((np.empty((0, 4)), [[1, 0, 1, 0]], [], [1]), {}, "query codes is empty"),
    (([[1, 0]], np.empty((0, 2)), [1], []), {}, "database codes is empty"),
    (
        ([[1, 0]], [[1, 0]], [[1, 0]], [[1, 0, 0]]),
        {},
        "query labels have 2 columns but database labels have 3",
    ),
    (([[1, 0]], [[1, 0]], [1], [[1, 0]]), {}, "query labels are class indices but database"),
    (([[1, 0]], [[1, 0]], [1], [1]), {"k": 0}, "k is 0"),
    (
        ([[1, 0]], [[1, 0]], [1], [1]),
        {"engine": "cuda"},
        "engine is 'cuda'; allowed: auto, numpy, numba, torch",
    ),
    (([[1, 0]], [[1, 0]], [1], [1]), {"threads": 0}, "threads is 0"),
    (([[1, 5]], [[1, 0]], [1], [1]), {}, "integer codes must be -1/[+]1 or 0/1, found 5"),
    (([1, 0], [[1, 0]], [1], [1]), {}, "must be .items, bits."),
    (([[1, 0], [1]], [[1, 0]], [1], [1]), {}, "no rectangular array"),
    (([["a", "b"]], [[1, 0]], [1], [1]), {}, "query codes holds"),
    (([[1, 0]], [[1, 0]], [-1], [1]), {}, "class indices must be 0 or more, found -1"),
    (([[1, 0]], [[1, 0]], [0.5], [1]), {}, "no class indices: found 0.5"),
    (([[1, 0]], [[1, 0]], [np.nan], [1]), {}, "no class indices: found nan"),
    (([[1, 0]], [[1, 0]], [[2, 0]], [[1, 0]]), {}, "multi-hot labels must be 0 or 1, found 2"),
    (([[1, 0]], [[1, 0]], [1], [1]), {"query_ids": [1]}, "needs query ids and database ids"),
    (([[1, 0]], [[1, 0]], [1], [1]), {"query_ids": [1], "database_ids": [1, 2]}, "database ids have shape"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD_CALLS)
def test_bad_input_is_named_in_one_line(arguments, options, message):
    with pytest.raises(InputError, match=message) as caught:
        mean_average_precision(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_evaluate_refuses_what_does_not_fit():
    codes = pack_codes([[1, 0, 1]])
    for options, message in (
        ({"metrics": ["ndcg"]}, "needs multi-hot labels"),
        ({"metrics": ["mpa"]}, "unknown metric 'mpa': did you mean map"),
        ({"metrics": ["bit_entropy"]}, "code_health"),
        ({"at": [0]}, "at is 0"),
        ({"cutoffs": [None]}, "cutoffs holds None"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(codes, codes, 3, [0], [0], **options)
    with pytest.raises(InputError, match="padding bits set beyond bit 3"):
        evaluate(codes | 1, codes, 3, [0], [0])
    with pytest.raises(InputError, match="bytes a row, but 9 bits take 2"):
        evaluate(codes, codes, 9, [0], [0])
    with pytest.raises(InputError, match="packed codes are uint8"):
        evaluate(codes.astype(int), codes, 3, [0], [0])
    with pytest.raises(InputError, match="bits is 0"):
        evaluate(codes, codes, 0, [0], [0])


def test_perfect_rankings_score_exactly_one():
    rng = np.random.default_rng(0)
    for bits in (3, 12, 64):
        items = rng.random((500, bits)) < 0.5
        for ties in ("expected", "database-order", "optimistic", "pessimistic"):
            for k in (None, 1, 7, 100, 499, 600):
                assert mean_average_precision(items[:20], items, [3] * 20, [3] * 500, k=k, ties=ties) == 1.0


class TestTable:
    """An entry of the table is a metric of its group: none can be listed and not computed."""

    @pytest.mark.parametrize("ties", ["expected", "database-order"])
    def test_every_ranking_metric_is_computed(self, ties: str) -> None:
        draw = np.random.default_rng(0)
        codes, labels = draw.integers(0, 256, (30, 2), dtype=np.uint8), draw.integers(0, 2, (30, 4))
        names = table.names_of("ranking", "graded")
        rules = metrics.Rules(ties=ties, relevance="graded")
        found = metrics.evaluate(
            codes[:5], codes[5:], 16, labels[:5], labels[5:], rules=rules, metrics=names, at=(3,)
        )
        assert {key.partition("@")[0] for key in found.values} == set(names)

    def test_every_metric_of_codes_is_computed(self) -> None:
        codes = np.arange(20, dtype=np.uint8)[:, None]
        assert tuple(metrics.code_health(codes, 8)) == table.names_of("codes")

    def test_groups_hold_every_entry_once(self) -> None:
        groups = ("ranking", "graded", "pooled", "foreign", "codes")
        every = [name for group in groups for name in table.names_of(group)]
        assert sorted(every) == sorted(metrics.METRICS)
