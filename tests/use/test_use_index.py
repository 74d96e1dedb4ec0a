"""Nearest codes against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.use import index as indexes
from benchmark.use.encode import Codes
from benchmark.use.index import KINDS, Index
from benchmark.use.model import pack
from benchmark.use.search_ways import Case, ways


def _codes(n: int, bits: int, seed: int, *, outputs: bool = True) -> Codes:
    values = np.random.default_rng(seed).normal(size=(n, bits)).astype(np.float32)
    return Codes(pack(values), values if outputs else None, np.arange(n).astype(str), bits)


def _by_hand(queries: Codes, database: Codes, top: int) -> tuple[np.ndarray, np.ndarray]:
    assert queries.outputs is not None
    assert database.outputs is not None
    far = ((queries.outputs[:, None] >= 0) != (database.outputs[None] >= 0)).sum(axis=2)
    rows = np.argsort(far, axis=1, kind="stable")[:, :top]
    return rows, np.take_along_axis(far, rows, 1)


@pytest.mark.parametrize("bits", [12, 64])
@pytest.mark.parametrize("installed", [True, False])
def test_flat_is_exact(bits: int, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed:
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr(indexes, "_faiss", lambda: None)
    database, queries = _codes(300, bits, 0), _codes(7, bits, 1)
    hits = Index(database).search(queries, 300)
    rows, far = _by_hand(queries, database, 300)
    assert np.array_equal(hits.distances, far)
    assert np.array_equal(hits.rows, rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 32, 64])
def test_every_index_finds_an_item_itself(kind: str, bits: int) -> None:
    pytest.importorskip("faiss")
    database = _codes(400, bits, 0)
    hits = Index(database, kind).search(database, 5)
    assert (hits.distances[:, 0] == 0).mean() > 0.95
    found = hits.rows >= 0
    true = np.bitwise_count(database.codes[np.maximum(hits.rows, 0)] ^ database.codes[:, None]).sum(axis=2)
    assert np.array_equal(hits.distances[found], true[found])


def test_rerank_orders_by_cosine() -> None:
    database, queries = _codes(80, 16, 0), _codes(3, 16, 1)
    assert database.outputs is not None
    assert queries.outputs is not None
    hits = Index(database).search(queries, 10, rerank=True)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (queries.outputs, database.outputs)]
    assert np.array_equal(hits.rows, np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :10])


def test_what_cannot_be_searched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    database = _codes(10, 16, 0, outputs=False)
    with pytest.raises(InputError, match="allowed: flat, hash, ivf, hnsw"):
        Index(database, "tree")
    with pytest.raises(InputError, match="16"):
        Index(database).search(_codes(1, 8, 0), 3)
    with pytest.raises(InputError, match="outputs"):
        Index(database).search(_codes(1, 16, 0), 3, rerank=True)
    monkeypatch.setattr(indexes, "_faiss", lambda: None)
    with pytest.raises(InputError, match="needs faiss"):
        Index(database, "hnsw")


@pytest.mark.parametrize("bits", [16, 64])
def test_what_search_cost_measures_is_what_search_builds(bits: int) -> None:
    faiss = pytest.importorskip("faiss")
    database = _codes(2000, bits, 0)
    case = Case(
        bits, database.codes, database.codes[:3], np.zeros((2000, 2), np.float32), np.zeros((3, 2)), ""
    )
    measured = {name: build for name, _, build in ways(faiss, case)}
    for name, kind in (("flat", "flat"), ("multi-hash", "hash"), ("IVF", "ivf"), ("HNSW", "hnsw")):
        bytes_an_item, search = measured[f"codes, {name}"]()
        built = Index(database, kind)._index
        assert round(bytes_an_item * 2000) == len(
            faiss.serialize_index_binary(built)
        )  # holds nprobe and nflip
        assert np.array_equal(search(5), built.search(case.query_codes, 5)[1])
    ivf = Index(database, "ivf")._index
    assert (ivf.nlist, ivf.nprobe) == (22, 2)
