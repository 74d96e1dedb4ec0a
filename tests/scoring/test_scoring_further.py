"""Conventions beyond a plain Hamming ranking: each repository's rule restated, over every order of the database."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.errors import InputError
from benchmark.metrics import Rules
from benchmark.scoring import present
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.convention_table import CONVENTIONS
from benchmark.scoring.conventions import score_conventions
from benchmark.scoring.session import Request, score
from tests.scoring.test_scoring_conventions import (
    CASES,
    KS,
    make,
    mean,
    ours,
    ranked_relevance,
    retrieval_map,
    top_precision,
)

pytestmark = pytest.mark.processor

Matrix = np.ndarray[Any, Any]
#: (query outputs, database outputs, relevance of the database, k, bits) -> average precision, None without a hit
Rule = Callable[[Matrix, Matrix, Matrix, int], float | None]


def by(distance: Matrix, relevant: Matrix, k: int) -> float | None:
    return top_precision(relevant[np.argsort(distance, kind="stable")][:k])


def signed(outputs: Matrix) -> Matrix:
    return np.where(outputs < 0, -1, 1)


def asymmetric(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    return by(-(signed(d) @ q), relevant, k)


def euclidean(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    return by(np.sqrt(((d - q) ** 2).sum(axis=1)), relevant, k)


def cosine(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    unit = d / (np.linalg.norm(d, axis=1, keepdims=True) + 1e-7)
    return by(np.round((1 - unit @ (q / (np.linalg.norm(q) + 1e-7))) / 2, 12), relevant, k)


def zero_mean(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    centre = d.mean(axis=0)
    return by(0.5 * (len(q) - np.sign(d - centre) @ np.sign(q - centre)), relevant, k)


def first_hits(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    if not relevant.any():
        return None
    order = np.argsort(0.5 * (len(q) - np.sign(d) @ np.sign(q)), kind="stable")
    total = min(k, int(relevant.sum()))
    ranks = np.flatnonzero(relevant[order])[:total] + 1
    return float((np.arange(1, total + 1) / ranks).mean())


def rerank(q: Matrix, d: Matrix, relevant: Matrix, k: int, farthest: int = 0) -> float | None:
    """Distance by distance, each sorted by the inner product; the repository's loop ends before the farthest."""
    distance, found = (len(q) - signed(d) @ signed(q)) / 2, []
    for at in range(len(q) + farthest):
        inside = np.flatnonzero(distance == at)
        found += [relevant[inside][one] for one in np.argsort(-(d[inside] @ q), kind="stable")]
    return top_precision(np.array(found[:k], dtype=bool))


def whole_rerank(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    return rerank(q, d, relevant, k, farthest=1)


def ball(q: Matrix, d: Matrix, relevant: Matrix, k: int) -> float | None:
    inside = (len(q) - signed(d) @ signed(q)) / 2 <= 2
    return by(-(d[inside] @ q), relevant[inside], len(d)) if inside.any() else 0.0


RULES: dict[str, tuple[Rule, str]] = {
    "asymmetric": (asymmetric, "zero"),
    "fire-euclidean": (euclidean, "zero"),
    "fire-cosine": (cosine, "zero"),
    "fire-zero-mean": (zero_mean, "zero"),
    "cross-modal": (first_hits, "zero"),
    "deephash-tf-rerank": (rerank, "skip"),
    "hamming-outputs": (whole_rerank, "zero"),
    "deephash-tf-radius": (ball, "skip"),
}


def small(seed: int) -> CodeSet:
    """Outputs of few whole values: many scores are exactly equal. No zero, whose sign some would draw."""
    rng = np.random.default_rng(seed)
    q, d = (rng.choice([-2.0, -1.0, 1.0], (size, 3)) for size in (7, 5))
    q[0] = -2.0  # far from every item
    d[:] = np.where(rng.random(d.shape) < 0.3, 1.0, d)
    labels = rng.integers(0, 3, 7), rng.integers(0, 3, 5)
    if seed == 2:  # of one direction, but of two lengths and two classes
        d[0], d[1] = 1.0, 2.0
        labels[1][:2] = 0, 1
    if seed == 3:
        d = np.abs(d)  # the first query's ball is empty
    return CodeSet("x", 3, (signed(q), signed(d)), (q, d), labels, (None, None))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("k", [None, 1, 3])
def test_the_value_is_the_mean_over_every_order_of_the_database(name: str, k: int | None) -> None:
    rule, no_hit = RULES[name]
    ties = 0
    for seed in range(4):
        codes = small(seed)
        found = score_conventions([CONVENTIONS[name]], codes, Rules(k=k))[name]
        q, d = codes.outputs or ()
        for at, (query, wanted) in enumerate(zip(q, codes.labels[0])):
            relevant = codes.labels[1] == wanted
            orders = [list(order) for order in itertools.permutations(range(len(d)))]
            values = [rule(query, d[order], relevant[order], k or len(d)) for order in orders]
            ties += len(set(values)) > 1
            if no_hit == "skip" and not any(value is not None for value in values):
                assert np.isnan(found[at]), (seed, at)
            else:
                expected = np.mean([value or 0.0 for value in values])
                assert found[at] == pytest.approx(expected, abs=1e-12), (seed, at)
    assert ties, "there are ties to average over"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_real_outputs_without_ties(case: str, k: int | None) -> None:
    codes = make(case)
    q, d = (one.astype(np.float64) for one in codes.outputs or ())
    limit = len(d) if k is None else k
    for name in ("asymmetric", "fire-euclidean", "fire-cosine", "hamming-outputs"):
        rule, no_hit = RULES[name]
        values = [rule(q[i], d, ranked_relevance(codes, i, slice(None)), limit) for i in range(len(q))]
        tied = name == "asymmetric"  # items of one code
        assert ours(name, codes, k) == pytest.approx(mean(values, no_hit), abs=0.05 if tied else 1e-9), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_csq_skips_queries_without_a_label_and_no_other(case: str, k: int | None) -> None:
    codes = make(case)
    codes.labels[0][5] = 0
    codes.labels[1][:, 2] = 0  # a class that no item has: its queries count 0
    q, d = (np.where(one >= 0, 1, -1).astype(np.float32) for one in codes.matrices)
    order = np.argsort(-np.dot(d, q.T), axis=0)
    values = [
        top_precision(ranked_relevance(codes, i, order[:, i])[: len(d) if k is None else k]) or 0.0
        for i in range(len(q))
        if codes.labels[0][i].any()
    ]
    assert ours("csq", codes, k) == pytest.approx(np.mean(values), abs=1e-12)
    found = score_conventions([CONVENTIONS["csq"]], codes, Rules(k=k))["csq"]
    assert not isinstance(found, InputError)
    np.testing.assert_array_equal(np.isnan(found), ~codes.labels[0].any(axis=1))


@pytest.mark.parametrize("k", [None, 3])
def test_torchmetrics_itself_is_called(k: int | None) -> None:
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    codes = make("no hit")
    q, d = (np.where(one >= 0, 1, -1).astype(np.float32) for one in codes.matrices)
    relevant = codes.labels[0] @ codes.labels[1].T > 0
    pairs = zip(torch.from_numpy(q @ d.T), torch.from_numpy(relevant))
    values = [float(retrieval_average_precision(row, hits, top_k=k)) for row, hits in pairs]
    assert ours("torchmetrics-library", codes, k) == pytest.approx(np.mean(values), abs=1e-6)
    # Without ties it is what `RetrievalMAP` gives, which may order ties otherwise.
    query, database = np.ones((1, 8), dtype=int), 1 - 2 * np.tri(9, 8, -1, dtype=int)
    labels = np.array([1]), np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    codes = CodeSet("x", 8, (query, database), None, labels, (None, None))
    expected = retrieval_map(query, database, labels[1][None] == 1, k)
    assert ours("torchmetrics-library", codes, k) == pytest.approx(expected, abs=1e-6)


def test_without_torchmetrics_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.retrieval", None)
    found = score_conventions([CONVENTIONS["torchmetrics-library"]], make("plain"), Rules())
    assert "pip install torchmetrics" in str(found["torchmetrics-library"])


@pytest.mark.parametrize("name", [name for name, one in CONVENTIONS.items() if one.needs_outputs])
def test_codes_alone_are_refused_in_one_line(name: str, tmp_path: Any, capsys: Any) -> None:
    bits = np.array([[0, 1], [1, 1]])
    labels = {"query_labels": [0, 1], "database_labels": [0, 1]}
    np.savez(tmp_path / "codes.npz", query_codes=bits, database_codes=bits, **labels)
    assert main(["score", str(tmp_path / "codes.npz"), "--conventions", name]) == 2
    said = capsys.readouterr().err.strip()
    assert f"convention '{name}' needs real-valued outputs; these are codes" in said
    assert "\n" not in said


def test_equal_rows_tie_wherever_they_stand() -> None:
    """Products of equal rows may differ in their last bit by a row's place in a block; equal rows are one tie."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((3, 37)), [20, 30, 17], axis=0)
    order = rng.permutation(len(rows))
    q, d, labels = rng.standard_normal((5, 37)), rows[order], rng.integers(0, 2, len(rows))
    codes = CodeSet("x", 37, (q, d), (q, d), (np.ones(5, dtype=int), labels), (None, None))
    again = rng.permutation(len(rows))
    other = CodeSet(
        "x", 37, (q, d[again]), (q, d[again]), (np.ones(5, dtype=int), labels[again]), (None, None)
    )
    for name in ("asymmetric", "fire-euclidean", "fire-cosine", "hamming-outputs"):
        assert ours(name, codes, 31) == pytest.approx(ours(name, other, 31), abs=1e-12), name


def unlabelled_set() -> CodeSet:
    codes = make("zeros")
    codes.labels[0][[2, 7]] = 0
    ids = np.arange(100, 112), np.arange(60)
    return CodeSet("x", 9, codes.matrices, codes.outputs, codes.labels, ids)


def test_queries_without_a_label_are_left_out_of_everything() -> None:
    codes = unlabelled_set()
    conventions = CONVENTIONS["csq"], CONVENTIONS["fire"]
    request = Request(Rules(k=7), ("map", "micro_ap"), conventions=conventions, resamples=10)
    counted, skipped = score(codes, request), score(codes, replace(request, no_label="skip"))
    assert (counted.evaluation.queries, skipped.evaluation.queries) == (12, 10)
    kept = np.delete(np.arange(12), [2, 7])
    scores = counted.evaluation.per_query["map"]
    assert (scores[[2, 7]] == 0).all()
    np.testing.assert_array_equal(skipped.evaluation.per_query["map"], scores[kept])
    np.testing.assert_array_equal(skipped.conventions["csq"], counted.conventions["csq"][kept])  # type: ignore[index]
    np.testing.assert_array_equal(skipped.conventions["fire"], counted.conventions["fire"][kept])  # type: ignore[index]
    assert skipped.evaluation.values["micro_ap"] > counted.evaluation.values["micro_ap"]
    assert "note: 2 of 12 queries have no label and are skipped" in present.as_text(skipped)
    assert present.per_query_csv(skipped).splitlines()[3].startswith("103,"), "ids go with their queries"
    assert score(make("plain"), replace(request, no_label="skip")).codes.notes == ()
    stray = replace(codes, ids=(np.arange(5), None))  # said only where ids are needed
    assert score(stray, replace(request, no_label="skip")).evaluation.queries == 10


def test_a_set_of_no_labels_at_all_and_an_unknown_rule_are_named(tmp_path: Any, capsys: Any) -> None:
    labels = {"query_labels": np.zeros((2, 3)), "database_labels": np.eye(3)[:2]}
    bits = np.array([[0, 1], [1, 1]])
    np.savez(tmp_path / "codes.npz", query_codes=bits, database_codes=bits, **labels)
    for rule, message in (
        ("skip", "no query has a label; --no-label skip leaves none"),
        ("drop", "allowed: count, skip"),
    ):
        assert main(["score", str(tmp_path / "codes.npz"), "--no-label", rule]) == 2
        said = capsys.readouterr().err.strip()
        assert message in said
        assert "\n" not in said
