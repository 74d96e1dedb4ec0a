"""Each convention against a few lines that state the repository's rule independently."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.metrics import Rules, mean_average_precision
from benchmark.scoring import present
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.convention_table import CONVENTIONS, REPORTED, choose_conventions
from benchmark.scoring.conventions import score_conventions, spread
from benchmark.scoring.present import mean_of
from benchmark.scoring.session import Request, score

pytestmark = pytest.mark.processor

CASES = ["plain", "zeros", "no hit", "multi"]
KS = [None, 7, 60, 100]


def make(case):
    rng = np.random.default_rng(CASES.index(case))
    centres = rng.standard_normal((4, 9))
    query_class, item_class = rng.integers(0, 4, 12), rng.integers(0, 4, 60)
    outputs = [
        (centres[one] + 1.5 * rng.standard_normal((len(one), 9))).astype(np.float32)
        for one in (query_class, item_class)
    ]
    if case == "zeros":
        for one in outputs:
            one[rng.random(one.shape) < 0.15] = 0
    labels = [np.eye(4, dtype=int)[one] for one in (query_class, item_class)]
    if case == "multi":
        labels = [one | (rng.random(one.shape) < 0.1) for one in labels]
    if case == "no hit":
        labels[0][3] = 0
    pair = (outputs[0], outputs[1])
    return CodeSet("x", 9, pair, pair, (labels[0], labels[1]), (None, None))


def ours(name, codes, k=None, seed=0):
    found = score_conventions([CONVENTIONS[name]], codes, Rules(k=k), seed)[name]
    return mean_of(found)


def ranked_relevance(codes, query, order):
    return (codes.labels[1] @ codes.labels[0][query] > 0)[order]


def top_precision(relevant):
    """Cumulative precision at the hits, divided by the hits; None without one."""
    if not relevant.any():
        return None
    return float((np.cumsum(relevant) / np.arange(1, len(relevant) + 1) * relevant).sum() / relevant.sum())


def mean(values, no_hit):
    if no_hit == "skip":
        return float(np.mean([value for value in values if value is not None]))
    return float(np.mean([0.0 if value is None else value for value in values]))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_deephash_pytorch_single_loss_and_hashnet(case, k):
    codes = make(case)
    q, d = np.sign(codes.matrices[0]), np.sign(codes.matrices[1])
    cut, whole = -1 if k is None else k, len(d) if k is None else k
    as_is, intended, hashnet = [], [], []
    for i in range(len(q)):
        order = np.argsort(0.5 * (q.shape[1] - np.dot(q[i], d.T)))
        relevant = ranked_relevance(codes, i, order)
        as_is.append(top_precision(relevant[0:cut]))
        intended.append(top_precision(relevant[0:whole]))
        order = np.argsort(-np.dot(d, q.T), axis=0)[:, i]
        hashnet.append(top_precision(ranked_relevance(codes, i, order)[0:whole]))
    assert ours("deephash-pytorch", codes, k) == pytest.approx(mean(as_is, "zero"), abs=1e-12)
    assert ours("deephash-pytorch-intended", codes, k) == pytest.approx(mean(intended, "zero"), abs=1e-12)
    assert ours("single-loss", codes, k) == pytest.approx(mean(intended, "zero"), abs=1e-12)
    assert ours("hashnet-pytorch", codes, k) == pytest.approx(mean(hashnet, "skip"), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_real_valued_rankings(case, k):
    codes = make(case)
    q, d = codes.outputs
    found = [top_precision(ranked_relevance(codes, i, np.argsort(-(q[i] @ d.T)))[:k]) for i in range(len(q))]
    assert ours("hashgan", codes, k) == pytest.approx(mean(found, "skip"), abs=1e-9)
    assert ours("deephash-tf-feature", codes, k) == pytest.approx(mean(found, "skip"), abs=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_deephash_tf_draws_a_sign_for_zeros(case, k):
    codes = make(case)
    rng = np.random.default_rng(5)
    signs = []
    for one in codes.matrices:
        sign = np.sign(one)
        sign[sign == 0] = rng.choice([-1, 1], int((sign == 0).sum()))
        signs.append(sign)
    limit = min(k or 60, 60)
    found = []
    for i in range(len(signs[0])):
        distance = -np.inner(signs[0][i], signs[1])
        near = np.argpartition(distance, limit - 1)[:limit]
        found.append(top_precision(ranked_relevance(codes, i, near[np.argsort(distance[near])])))
    assert ours("deephash-tf", codes, k, seed=5) == pytest.approx(mean(found, "skip"), abs=1e-12)
    if case == "zeros" and k is None:
        assert ours("deephash-tf", codes, k, seed=6) != ours("deephash-tf", codes, k, seed=5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", KS)
def test_orthohash_and_fire_average_what_topk_leaves_open(case, k):
    codes = make(case)
    q, d = np.sign(codes.matrices[0]), np.sign(codes.matrices[1])
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(400):  # any order inside a tie is a legal answer of topk; so is their mean
        shuffled = rng.permutation(len(d))
        values = []
        for i in range(len(q)):
            distance = 0.5 * (q.shape[1] - d[shuffled] @ q[i])
            order = shuffled[np.argsort(distance, kind="stable")][:k]
            values.append(top_precision(ranked_relevance(codes, i, order)))
        draws.append(mean(values, "zero"))
    error = 5 * np.std(draws) / np.sqrt(len(draws)) + 1e-12
    assert ours("orthohash", codes, k) == pytest.approx(np.mean(draws), abs=error)
    assert ours("fire", codes, k) == ours("orthohash", codes, k)


def test_half_integer_distances_against_the_exact_tie_average():
    codes = make("zeros")
    q, d = (np.sign(one) for one in codes.matrices)
    distances = 0.5 * (9 - q @ d.T)
    assert (distances % 1 == 0.5).any()
    relevant = codes.labels[0] @ codes.labels[1].T > 0
    values = []
    for row, hits in zip(distances, relevant):
        done = found = total = 0.0
        for distance in np.unique(row):
            n, r = int((row == distance).sum()), int((hits & (row == distance)).sum())
            for t in range(1, n + 1):
                others = (t - 1) * (r - 1) / (n - 1) if n > 1 else 0
                total += r / n * (found + 1 + others) / (done + t)
            done, found = done + n, found + r
        values.append(total / found)
    assert ours("orthohash", codes) == pytest.approx(np.mean(values), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_scikit_learn_against_the_installed_library(case):
    from sklearn.metrics import average_precision_score

    codes = make(case)
    q, d = (np.where(one >= 0, 1, -1) for one in codes.matrices)
    relevant = codes.labels[0] @ codes.labels[1].T > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sklearn = [average_precision_score(hits, row) for hits, row in zip(relevant, q @ d.T)]
    assert ours("scikit-learn", codes, 7) == pytest.approx(np.mean(sklearn), abs=1e-12)


def retrieval_map(q, d, relevant, k):
    """What the installed torchmetrics computes from inner products of -1/+1 codes."""
    import torch
    from torchmetrics.retrieval import RetrievalMAP

    metric = RetrievalMAP(top_k=k)
    products = torch.from_numpy((q @ d.T).astype(np.float32))
    owners = torch.arange(len(q))[:, None].expand(len(q), len(d))
    return float(metric(products, torch.from_numpy(relevant), indexes=owners))


@pytest.mark.parametrize("bits", [8, 9])
@pytest.mark.parametrize("k", [None, 1, 3, 8])
def test_torchmetrics_without_ties_is_retrieval_map(bits, k):
    rng = np.random.default_rng(bits)
    query = np.ones((1, bits), dtype=int)
    database = 1 - 2 * (np.arange(bits) < np.arange(bits + 1)[:, None]).astype(int)  # one item a distance
    for _ in range(20):
        labels = np.array([1]), rng.integers(0, 2, bits + 1)
        codes = CodeSet("x", bits, (query, database), None, labels, (None, None))
        expected = retrieval_map(query, database, labels[1][None] == 1, k)
        assert ours("torchmetrics", codes, k) == pytest.approx(expected, abs=1e-6)  # float32 there


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [None, 7])
def test_torchmetrics_with_ties_is_the_mean_of_retrieval_map(case, k):
    codes = make(case)
    q, d = (np.where(one >= 0, 1, -1) for one in codes.matrices)
    relevant = codes.labels[0] @ codes.labels[1].T > 0
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(d)) for _ in range(40)]
    draws = [retrieval_map(q, d[order], relevant[:, order], k) for order in orders]
    error = 5 * np.std(draws) / np.sqrt(len(draws)) + 1e-6
    assert ours("torchmetrics", codes, k) == pytest.approx(np.mean(draws), abs=error)


def test_rows_without_a_cut_off_do_not_count_in_the_spread():
    codes = make("plain")
    request = Request(Rules(k=7), metrics=("map",), conventions=tuple(choose_conventions("all")))
    outcome = score(codes, request)
    found = present.as_dict(outcome)
    apart = {one["name"] for one in found["conventions"] if not one["in_spread"]}
    assert apart == {"scikit-learn", "cross-modal", "deephash-tf-radius"}
    cut = [one["map"] for one in found["conventions"] if one["name"] not in apart]
    assert found["spread"] == pytest.approx(max(cut) - min(cut), abs=1e-15)
    (whole,) = (one for one in found["conventions"] if one["name"] == "scikit-learn")
    assert (whole["k"], whole["in_spread"]) == (None, False)
    others = [one["map"] for one in found["conventions"] if one["name"] in REPORTED and one["k"] is not None]
    assert not min(others) <= whole["map"] <= max(others)  # so that it would have counted
    assert "without scikit-learn: mAP@all" in present.as_text(outcome)
    assert "cross-modal: k counts hits; deephash-tf-radius: within radius 2" in present.as_text(outcome)
    (line,) = (line for line in present.as_csv(outcome).splitlines() if ",scikit-learn," in line)
    assert ",7," not in line
    for k in (None, 60):  # the whole database: every row is at one cut-off
        alike = present.as_dict(score(codes, replace(request, rules=Rules(k=k))))
        assert [one["name"] for one in alike["conventions"] if not one["in_spread"]] == ["deephash-tf-radius"]


def test_dropping_the_last_item_shows():
    # The only relevant item is the farthest one: DeepHash-pytorch never sees it.
    matrix = np.array([[1, 1], [1, -1], [-1, -1]])
    codes = CodeSet("x", 2, (matrix[:1], matrix), None, (np.array([1]), np.array([0, 0, 1])), (None, None))
    assert ours("deephash-pytorch", codes) == 0
    assert ours("deephash-pytorch-intended", codes) == pytest.approx(1 / 3)


def test_conventions_leave_the_query_out_by_id():
    whole = make("zeros")
    ids = np.arange(12), np.arange(60)
    codes = CodeSet("x", 9, whole.matrices, whole.outputs, whole.labels, ids)
    for name in CONVENTIONS:
        found = score_conventions([CONVENTIONS[name]], codes, Rules(exclude_self=True))[name]
        kept = np.delete(np.arange(60), 4)
        one = CodeSet(
            "x",
            9,
            (whole.matrices[0][4:5], whole.matrices[1][kept]),
            (whole.outputs[0][4:5], whole.outputs[1][kept]),
            (whole.labels[0][4:5], whole.labels[1][kept]),
            (None, None),
        )
        # Random signs depend on the number of zeros drawn before, the mean on the whole database, and the library's
        # order in ties on the length of the list.
        if CONVENTIONS[name].sign not in ("random", "centred") and CONVENTIONS[name].sort != "library":
            assert found[4] == pytest.approx(ours(name, one), abs=1e-9), name


def test_codes_without_zeros_give_the_plain_metric():
    codes = make("plain")
    expected = mean_average_precision(*codes.matrices, *codes.labels, k=20)
    assert ours("fire", codes, 20) == pytest.approx(expected, abs=1e-15)


def test_what_cannot_be_computed_and_what_is_unknown():
    bits = np.array([[0, 1], [1, 1]])
    codes = CodeSet("x", 2, (bits, bits), None, (np.array([0, 1]), np.array([0, 1])), (None, None))
    found = score_conventions(list(CONVENTIONS.values()), codes, Rules())
    assert list(found) == list(CONVENTIONS)
    assert {name for name, value in found.items() if isinstance(value, InputError)} == {
        "hashgan",
        "deephash-tf-feature",
        "deephash-tf-radius",
        "deephash-tf-rerank",
        "hamming-outputs",
        "asymmetric",
        "fire-euclidean",
        "fire-cosine",
        "fire-zero-mean",
    }
    with pytest.raises(InputError, match="unknown convention 'hashnet': did you mean"):
        choose_conventions("hashgan,hashnet")
    assert [one.name for one in choose_conventions("fire, hashgan,fire")] == ["fire", "hashgan"]
    every = list(CONVENTIONS.values())
    assert choose_conventions("all") == [one for one in every if one.name != "torchmetrics-library"]
    assert choose_conventions("all,torchmetrics-library") == every
    with pytest.raises(InputError, match="unknown convention 'csg': did you mean csq"):
        choose_conventions("all,csg")
    assert spread([0.25, float("nan"), 0.75]) == 0.5


def test_every_convention_names_its_source():
    for name, convention in CONVENTIONS.items():
        assert convention.name == name
        assert "/" in convention.source
        assert convention.describe()
    assert list(REPORTED) == [name for name in CONVENTIONS if name in REPORTED]
    assert len(REPORTED) == 11, "another row in the report's table changes every report"
