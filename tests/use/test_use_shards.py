"""Codes in pieces on disk are scored and searched as if they were whole, in any executor, across a kill."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.metrics import Rules, evaluate, unpack_codes
from benchmark.sweep.executors import LocalProcesses, RayCluster, Serial
from benchmark.use import shards
from benchmark.use.shards import open_shards, score_shards, search_shards

BITS, ITEMS = 20, 1000
Cli = Callable[..., tuple[int, str, str]]
no_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"
)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Three shards of 1,000 items in pieces of 150 at most, 30 queries; few different codes, so that many tie."""
    monkeypatch.setattr(shards, "PIECE", 150)
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    few = np.packbits(rng.integers(0, 2, (40, BITS), dtype=np.uint8), axis=1)
    codes, labels = few[rng.integers(0, 40, ITEMS + 30)], rng.integers(0, 6, ITEMS + 30)
    folder = tmp_path / "database"
    folder.mkdir()
    for name, low, high in (("-0", 0, 400), ("-1", 400, 401), ("-2", 401, ITEMS)):
        np.save(folder / f"codes{name}.npy", codes[low:high])
        np.save(folder / f"labels{name}.npy", labels[low:high])
    return {
        "folder": folder,
        "database": codes[:ITEMS],
        "labels": labels[:ITEMS],
        "codes": codes[ITEMS:],
        "query_labels": labels[ITEMS:],
    }


def whole(drawn: dict[str, Any], **options: Any) -> Any:
    sides = drawn["codes"], drawn["database"], BITS, drawn["query_labels"], drawn["labels"]
    return evaluate(*sides, at=(10, 100), **options)


@pytest.mark.parametrize(
    "executor", ["serial", "processes", pytest.param("ray", marks=[pytest.mark.slow, no_ray])]
)
def test_pieces_score_and_find_what_the_whole_does(drawn: dict[str, Any], executor: str) -> None:
    made = {"serial": Serial, "processes": lambda: LocalProcesses(2), "ray": lambda: RayCluster(workers=2)}
    run: Any = made[executor]()  # type: ignore[no-untyped-call, operator]
    found = open_shards(drawn["folder"], BITS)
    assert (found.items, len(found.pieces)) == (ITEMS, 3 + 1 + 4)
    told: list[int] = []
    for rules in (Rules(), Rules(k=50, no_hit="skip", normaliser="all-relevant")):
        scored = score_shards(
            found, drawn["codes"], drawn["query_labels"], run, rules=rules, at=(10, 100), tell=told.append
        )
        wanted = whole(drawn, rules=rules)
        assert scored.values == wanted.values
        for mine, theirs in ((scored.per_query, wanted.per_query), (scored.curves, wanted.curves)):
            assert mine.keys() == theirs.keys()
            assert all(np.array_equal(mine[key], theirs[key], equal_nan=True) for key in theirs)
    assert sum(told) == 2 * ITEMS
    rows, distances = search_shards(found, drawn["codes"], 25, run)
    bits = unpack_codes(drawn["codes"], BITS)[:, None] != unpack_codes(drawn["database"], BITS)
    far = bits.sum(axis=2)
    order = np.argsort(far, axis=1, kind="stable")[:, :25]
    assert np.array_equal(rows, order)
    assert np.array_equal(distances, np.take_along_axis(far, order, 1))
    assert not [*(shards.cache_root() / "shards").glob("*")], "nothing is left in the cache"


def test_a_run_that_ended_in_the_middle_goes_on(
    drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, counted = open_shards(drawn["folder"], BITS), list[int]()
    real = shards.Counting.__call__

    def count(self: Any, piece: Any, link: Any) -> np.ndarray:
        if len(counted) == 3:
            raise KeyboardInterrupt
        counted.append(piece.number)
        return real(self, piece, link)

    with monkeypatch.context() as change:
        change.setattr(shards.Counting, "__call__", count)
        with pytest.raises(KeyboardInterrupt):
            score_shards(found, drawn["codes"], drawn["query_labels"], Serial())
    kept = sorted((shards.cache_root() / "shards").rglob("*.npy"))
    assert [path.stem for path in kept] == ["000000", "000001", "000002"]
    kept[1].write_bytes(b"torn")
    counted.clear()
    counted.extend([-3, -2, -1, 0])  # four entries: `count` does not end again

    def seen(self: Any, piece: Any, link: Any) -> np.ndarray:
        counted.append(piece.number)
        return real(self, piece, link)

    monkeypatch.setattr(shards.Counting, "__call__", seen)
    scored = score_shards(found, drawn["codes"], drawn["query_labels"], Serial(), metrics=["map"])
    assert counted[4:] == [1, 3, 4, 5, 6, 7]
    assert scored.values["map"] == whole(drawn).values["map"]


def test_counts_of_another_folder_are_not_taken(
    drawn: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same names, sizes and times, other codes: a run that was ended there leaves nothing for a run here."""
    folder, other, real = drawn["folder"], tmp_path / "other", shards.Counting.__call__
    other.mkdir()
    for path in folder.iterdir():
        array = np.load(path)
        np.save(other / path.name, np.roll(array, 7, axis=0) if path.name.startswith("codes") else array)
        os.utime(other / path.name, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    calls: list[int] = []

    def ended(self: Any, piece: Any, link: Any) -> np.ndarray:
        calls.append(piece.number)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, piece, link)

    with monkeypatch.context() as change:
        change.setattr(shards.Counting, "__call__", ended)
        with pytest.raises(KeyboardInterrupt):
            score_shards(open_shards(other, BITS), drawn["codes"], drawn["query_labels"], Serial())
    found = score_shards(
        open_shards(folder, BITS), drawn["codes"], drawn["query_labels"], Serial(), metrics=["map"]
    )
    assert found.values["map"] == whole(drawn).values["map"]


def test_long_codes_and_wide_labels_are_read_in_smaller_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_BYTES", 10_000)
    np.save(tmp_path / "codes.npy", np.zeros((1000, 16), np.uint8))
    np.save(tmp_path / "labels.npy", np.zeros((1000, 18), np.uint8))
    pieces = open_shards(tmp_path, 128).pieces
    assert {piece.stop - piece.start for piece in pieces} == {100}
    assert len(open_shards(tmp_path, 128, labelled=False).pieces) == 7


def test_what_does_not_fit_is_named(drawn: dict[str, Any], tmp_path: Path) -> None:
    empty, folder = tmp_path / "empty", drawn["folder"]
    empty.mkdir()
    for place, bits, said in ((empty, BITS, "holds no codes"), (folder, 64, "must be uint8 .items, 8.")):
        with pytest.raises(InputError, match=said):
            open_shards(place, bits)
    found = open_shards(folder, BITS)
    with pytest.raises(InputError, match="database order"):
        score_shards(
            found, drawn["codes"], drawn["query_labels"], Serial(), rules=Rules(ties="database-order")
        )
    np.save(folder / "labels-1.npy", np.zeros(7, dtype=int))
    with pytest.raises(InputError, match="a label for each of 1 items"):
        open_shards(folder, BITS)
    with pytest.raises(InputError, match="bytes a row"):
        search_shards(open_shards(folder, BITS, labelled=False), drawn["codes"][:, :2], 3, Serial())


def test_the_command(drawn: dict[str, Any], tmp_path: Path, run_cli: Cli) -> None:
    queries, out = tmp_path / "queries.npz", tmp_path / "nearest.npz"
    np.savez(queries, query_codes=drawn["codes"], query_labels=drawn["query_labels"], bits=BITS)
    words = ("score-shards", queries, "--shards", drawn["folder"])
    code, text, err = run_cli(*words, "--metrics", "map,precision", "--at", "10")
    assert code == 0, err
    assert f"map                {whole(drawn).values['map']:.4f}" in text
    assert "precision@10" in text
    assert "1,000 database items, 20 bits; " in text
    code, text, err = run_cli(*words, "--top", "5", "--out", out)
    assert code == 0, err
    with np.load(out) as found:
        assert found["rows"].shape == found["distances"].shape == (30, 5)
    for more, said in (
        (("--top", "5"), "go together"),
        (("--metrics", "speed"), "'speed'"),
        (("--at", "ten"), "--at is 'ten'"),
        (("--bits", "64"), "must be uint8"),
    ):
        code, _, err = run_cli(*words, *more)
        assert code == 2, more
        assert said in err
        assert err.count("\n") == 1
    np.savez(queries, codes=drawn["codes"])
    code, _, err = run_cli(*words)
    assert (code, "hold no `labels`" in err) == (2, True)
