"""Protocols without labels: the true neighbours of each query, and codes scored by them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import metrics, registry
from benchmark.data.protocol import find, resolve
from benchmark.data.protocol.protocol import Split
from benchmark.errors import InputError
from benchmark.fit import neighbours
from benchmark.fit.neighbours import nearest, true_neighbours
from benchmark.metrics import Neighbours, Rules, evaluate
from benchmark.store.store import Store

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BENCHMARK_CACHE", str(folder))
    return folder


def by_enumeration(
    vectors: np.ndarray, query: np.ndarray, database: np.ndarray, k: int, how: str
) -> list[set[int]]:
    """Places in `database`, by plain sorting in double precision, with everything as near as the k-th: under the
    cosine to within rounding, which tells vectors of one direction apart."""
    x = vectors.astype(np.float64)
    found = []
    for row in query:
        if how == "euclidean":
            far = np.array([((x[other] - x[row]) ** 2).sum() for other in database])
        else:
            far = -np.array([(x[other] * x[row]).sum() for other in database])
            if how == "cosine":
                far /= np.sqrt((x[database] ** 2).sum(axis=1))
        far[database == row] = np.inf
        room = 1e-13 * np.sqrt((x[row] ** 2).sum()) if how == "cosine" else 0
        found.append(set(np.flatnonzero(far <= np.sort(far)[k - 1] + room).tolist()))
    return found


@pytest.mark.processor
@pytest.mark.parametrize("how", ["euclidean", "cosine", "ip"])
@pytest.mark.parametrize("kind", ["floats", "whole numbers", "far from the origin", "half"])
def test_neighbours_are_those_of_enumeration(how: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((600, 24)).astype(np.float32)
    if kind == "whole numbers":  # many items at one distance, the K-th among them
        vectors = rng.integers(0, 3, (600, 6)).astype(np.float32) + np.eye(6, dtype=np.float32)[0]
    elif kind == "far from the origin":  # single precision alone could not tell them apart
        vectors = (vectors + 3_000).astype(np.float32)
    elif kind == "half":
        vectors = vectors.astype(np.float16)
    query, database = np.arange(0, 40), np.arange(20, 600)  # some queries are in the database
    monkeypatch.setattr(neighbours, "_BYTES", 4 * len(database) * 7)
    monkeypatch.setattr(neighbours, "_ROWS", 64)
    found = nearest(vectors, query, database, 10, how)
    wanted = by_enumeration(vectors, query, database, 10, how)
    sizes = [len(found.of(place)) for place in range(len(query))]
    assert [set(found.of(place).tolist()) for place in range(len(query))] == wanted
    assert min(sizes) >= 10
    assert (max(sizes) > 10) == (kind == "whole numbers" or (kind == "half" and max(sizes) > 10))


@pytest.mark.parametrize("engine", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "database-order"])
def test_scores_by_neighbours_are_those_of_a_class_for_each_query(engine: str, ties: str) -> None:
    """The same relevance written as labels: query i carries label i, and so do its neighbours."""
    rng = np.random.default_rng(3)
    codes = [rng.integers(0, 256, (n, 2), dtype=np.uint8) for n in (12, 300)]
    rows = [np.sort(rng.choice(300, size, replace=False)) for size in rng.integers(1, 9, 12)]
    near = Neighbours(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))
    hot = np.zeros((300, 12), dtype=np.uint8)
    for query, some in enumerate(rows):
        hot[some, query] = 1
    rules = {"ties": ties, "normaliser": "all-relevant", "k": 50}
    options: dict[str, Any] = {"engine": engine, "at": (10, 100), "metrics": ["map", "precision", "recall"]}
    mine = evaluate(
        *codes, 16, None, None, rules=Rules(relevance="neighbours", **rules), neighbours=near, **options
    )
    theirs = evaluate(*codes, 16, np.eye(12, dtype=np.uint8), hot, rules=Rules(**rules), **options)
    assert mine.values.keys() == theirs.values.keys()
    for key in mine.values:
        np.testing.assert_allclose(mine.per_query[key], theirs.per_query[key], atol=1e-12, err_msg=key)


def test_neighbours_that_do_not_fit_are_refused() -> None:
    codes = [np.zeros((n, 1), dtype=np.uint8) for n in (2, 5)]
    rules = Rules(relevance="neighbours")
    for offsets, rows in (([0, 1], [0]), ([0, 1, 2], [0, 5]), ([0, 2, 1], [0]), ([0, 1, 2], [0])):
        near = Neighbours(np.array(offsets), np.array(rows))
        with pytest.raises(InputError, match="do not fit 2 queries and 5 database items"):
            evaluate(*codes, 8, None, None, rules=rules, neighbours=near)
    with pytest.raises(InputError, match="needs each query's true neighbours"):
        evaluate(*codes, 8, [0, 1], [0] * 5, rules=rules)
    near = Neighbours(np.array([0, 1, 2]), np.array([0, 1]))
    with pytest.raises(InputError, match="they need that rule"):
        evaluate(*codes, 8, [0, 1], [0] * 5, neighbours=near)


@pytest.mark.processor
@pytest.mark.parametrize("how", ["euclidean", "cosine", "ip"])
@pytest.mark.parametrize("scale", [1e25, 1e-25, "mixed"])
def test_numbers_beyond_single_precision_lose_no_neighbour(how: str, scale: float | str) -> None:
    """Products of 1e25 overflow single precision and those of 1e-25 vanish in it; vectors hold both."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((300, 8))
    vectors *= 10.0 ** rng.uniform(-35, 15, (300, 1)) if isinstance(scale, str) else scale
    vectors, query, database = vectors.astype(np.float32), np.arange(30), np.arange(30, 300)
    found = nearest(vectors, query, database, 10, how)
    wanted = by_enumeration(vectors, query, database, 10, how)
    assert [set(found.of(place).tolist()) for place in range(30)] == wanted


@pytest.mark.processor
def test_vectors_of_one_direction_tie_under_the_cosine() -> None:
    """Against fractions: a cosine squared is (a.b)^2 / (|a|^2 |b|^2), exact for whole numbers."""
    vectors = np.random.default_rng(0).integers(0, 4, (400, 4)).astype(np.float32)
    vectors[(vectors == 0).all(axis=1)] = 1
    query, database = np.arange(40), np.arange(40, 400)
    found = nearest(vectors, query, database, 20, "cosine")
    whole = vectors.astype(np.int64)
    for place, row in enumerate(query):
        products, squares = whole[database] @ whole[row], (whole[database] ** 2).sum(axis=1)
        far = [-Fraction(int(a) ** 2, int(b)) for a, b in zip(products, squares, strict=True)]
        last = sorted(far)[19]
        assert set(found.of(place).tolist()) == {at for at, one in enumerate(far) if one <= last}


def split_of(query: int, n: int) -> Split:
    nothing = np.array([], dtype=np.int64)
    return Split(np.arange(query), np.arange(query, n), nothing, nothing, nothing)


def test_the_truth_is_made_once_and_again_when_its_file_is_damaged(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    rule, made = find("neighbours-5"), itertools.count()
    original = neighbours.nearest
    monkeypatch.setattr(neighbours, "nearest", lambda *args: (next(made), original(*args))[1])
    first = true_neighbours(vectors, split_of(20, 200), rule, "a")
    again = true_neighbours(vectors, split_of(20, 200), rule, "a")
    assert next(made) == 1
    assert np.array_equal(first.rows, again.rows)
    for other in (
        (split_of(21, 200), rule, "a"),
        (split_of(20, 200), rule, "b"),
        (split_of(20, 200), find("neighbours-6"), "a"),
    ):
        true_neighbours(vectors, *other)
    assert next(made) == 5
    (path, *_) = sorted(cache.glob("neighbours/*.npz"))
    for path in cache.glob("neighbours/*.npz"):
        path.write_bytes(path.read_bytes()[:-200])
    assert np.array_equal(true_neighbours(vectors, split_of(20, 200), rule, "a").rows, first.rows)
    assert next(made) == 7


def test_a_cache_file_with_any_byte_changed_is_made_again_or_says_the_same(cache: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    split, rule = split_of(10, 60), find("neighbours-3")
    right = true_neighbours(vectors, split, rule, "a")
    (path,) = cache.glob("neighbours/*.npz")
    whole, rebuilt = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        read = neighbours._read(path, split)
        rebuilt += read is None
        assert read is None or (
            np.array_equal(read.rows, right.rows) and np.array_equal(read.offsets, right.offsets)
        )
    assert rebuilt > len(whole) / 2


@pytest.mark.parametrize("engine", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("ties", ["expected", "database-order"])
def test_a_query_in_the_database_is_left_out_of_its_own_ranking(engine: str, ties: str) -> None:
    """Where released parts overlap: the scores are those of a database without the query."""
    info = registry.find("datasets", "cifar10-hashgan").dataset_info
    assert resolve("default", info).overlapping
    rule = resolve("neighbours-4", info)
    assert rule.exclude_self
    assert rule.version == 2
    assert "a query's own entry is left out" in rule.describe()
    rng = np.random.default_rng(4)
    vectors, codes = rng.standard_normal((80, 6)), rng.integers(0, 256, (80, 1), dtype=np.uint8)
    every, rules = np.arange(80), Rules(relevance="neighbours", ties=ties, exclude_self=rule.exclude_self)
    options: dict[str, Any] = {"engine": engine, "at": (10,), "metrics": ["map", "recall"]}
    near = nearest(vectors, every[:5], every, 4, "euclidean")
    ids = {"query_ids": every[:5], "database_ids": every}
    mine = evaluate(codes[:5], codes, 8, None, None, rules=rules, neighbours=near, **ids, **options)
    for query in range(5):
        others = np.delete(every, query)
        near = nearest(vectors, every[query : query + 1], others, 4, "euclidean")
        alone = Rules(relevance="neighbours", ties=ties)
        one = evaluate(
            codes[query : query + 1], codes[others], 8, None, None, rules=alone, neighbours=near, **options
        )
        for key, value in one.values.items():
            assert abs(mine.per_query[key][query] - value) < 1e-12, (key, query)


def test_bad_vectors_are_named() -> None:
    vectors = np.ones((50, 4), dtype=np.float32)
    vectors[7] = 0
    query, database = np.arange(5), np.arange(5, 50)
    assert len(nearest(vectors, query, database, 3, "euclidean").of(0)) == 44
    with pytest.raises(InputError, match="database vector in row 8 has length 0, which has no cosine"):
        nearest(vectors, query, database, 3, "cosine")
    vectors[2] = np.nan
    with pytest.raises(InputError, match="query vector in row 3 is not finite"):
        nearest(vectors, query, database, 3, "ip")


def test_vectors_without_labels_from_end_to_end(tmp_path: Path, run_cli: Cli) -> None:
    rng = np.random.default_rng(2)
    np.save(tmp_path / "clip.npy", rng.standard_normal((400, 16)).astype(np.float32))
    root, results = ("--data-root", tmp_path), ("--results", tmp_path / "r", "--tracking-uri", "none")
    code, out, err = run_cli("dataset", "add", "clip", "--features", tmp_path / "clip.npy", *root)
    assert code == 0, err
    assert "neighbours-100" in out
    run = ("run", "--datasets", "clip", "--bits", "16", "--epochs", "1", "--device", "cpu", *root, *results)
    code, out, err = run_cli(*run, "--methods", "itq,lsh,bihalf-u,hashnet", "--protocol", "neighbours-10")
    assert code == 0, err
    assert "hashnet learns from labels, clip has none" in out + err
    records = [*Store(tmp_path / "r").records()]
    assert {record.spec.method for record in records} == {"itq", "lsh", "bihalf-u"}
    vectors = np.load(tmp_path / "clip.npy")
    for record in records:
        codes = Store(tmp_path / "r").codes(record.spec)
        query, database = codes["query_ids"], codes["database_ids"]
        assert (len(query), len(database)) == (40, 360)
        told = record.protocol
        assert told is not None
        assert "labels do not count" in told.text
        assert told.definition["neighbours"] == 10
        near = metrics.neighbours_of(codes)
        assert near is not None
        wanted = by_enumeration(vectors, query, database, 10, "euclidean")
        assert [set(near.of(place).tolist()) for place in range(40)] == wanted
        bits = [
            metrics.unpack_codes(codes[f"{side}_codes"], 16).astype(int) for side in ("query", "database")
        ]
        distance = (bits[0][:, None] != bits[1][None]).sum(axis=2)
        recalls = []  # of the first 100, ties averaged: those inside a group count by their share of it
        for place in range(40):
            order = np.sort(distance[place])
            edge = order[99]
            inside, tied = (distance[place] < edge), (distance[place] == edge)
            share = (100 - inside.sum()) / tied.sum()
            hits = np.isin(np.arange(360), near.of(place))
            recalls.append((hits[inside].sum() + share * hits[tied].sum()) / hits.sum())
        scores = {(score.metric, score.k): score.value for score in record.scores}
        assert abs(scores["recall", 100] - np.mean(recalls)) < 1e-9
    code, _, err = run_cli("score", Store(tmp_path / "r").folder(records[0].spec) / "codes.npz")
    assert code == 2
    assert "no convention by label" in err
    for flags, said in (
        (("--protocol", "multi-100-400"), "has no labels"),
        (("--protocol", "neighbours-360"), "ask for at most 359"),
        (("--protocol", "neighbours-361"), "ask for at most 359"),
        (("--protocol", "neighbours-0"), "with K from 1"),
        (("--protocol", "neighbours-10-manhattan"), "by which distance"),
        (("--protocol", "neighbours-10-lists"), "parts of their own"),
        (("--protocol", "neighbours-10", "--label-fractions", "0.5"), "has no labels to show a share of"),
        (("--protocol", "neighbours-10", "--labels-per-class", "5"), "has no labels to show a share of"),
        (("--protocol", "neighbours-10", "--label-noise", "0.2"), "or to make wrong"),
        (("--protocol", "neighbours-10", "--selection", "val"), "ranks by labels"),
        (("--protocol", "neighbours-10", "--views", "unseen-classes"), "ranks by labels"),
    ):
        code, _, err = run_cli(*run, "--methods", "itq", *flags)
        assert code == 2, flags
        assert said in err
        assert err.count("\n") == 1
    code, _, err = run_cli("run", "--methods", "itq", "--protocol", "neighbours-10", *results)
    assert code == 2
    assert "add --frozen" in err
    code, _, err = run_cli("report", "--results", tmp_path / "r", "--only", "table1,precision-recall,curves")
    assert code == 0, err
    text = (tmp_path / "r/report/report.md").read_text()
    assert "the 10 nearest by euclidean distance" in text
    assert "on the queries against the whole database" in text
    code, _, err = run_cli(
        "compact", "--results", tmp_path / "r", "--out", tmp_path / "small", "--only", "table1"
    )
    assert code == 0, err
