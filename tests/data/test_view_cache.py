"""Corrupted images are made once for all fits, are the same as ever, and stay within their room on disk."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import view_cache, view_images
from benchmark.data.corruptions import corrupt
from benchmark.data.view_images import corrupted
from benchmark.errors import InputError
from benchmark.spec.views import parse_view
from tests.helpers import digits, execute

VIEW = parse_view("corruption:gaussian_noise@3")
ROWS = np.arange(0, 1300, 2)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were corrupted, call by call; the cache is empty."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(view_images, "_cache", type(view_images._cache)())
    counts: list[int] = []

    def counting(images: torch.Tensor, *rest: object) -> torch.Tensor:
        counts.append(len(images))
        return corrupt(images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(view_images, "corrupt", counting)
    return counts


def look(rows: np.ndarray = ROWS, view: object = VIEW) -> np.ndarray:
    images = corrupted(digits(), rows, view, None, keep=True)  # type: ignore[arg-type]
    return np.concatenate([images.part(start, start + 300).numpy() for start in range(0, len(rows), 300)])


def plain() -> np.ndarray:
    data = digits()
    return corrupt(torch.from_numpy(data.images[ROWS]), VIEW.name, 3, ROWS, data.info.name).numpy()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache" / "views").iterdir() if path.suffix != ".lock")


def test_five_fits_share_one_making(tmp_path: Path, made: list[int]) -> None:
    _, summary, _ = execute(
        tmp_path / "runs", methods=("lsh", "itq", "pcah", "sh", "ksh"), bits=(8,), views=("clean", str(VIEW))
    )
    assert [len(record.views) for record in summary.records] == [1] * 5
    assert sum(made) == summary.records[0].protocol.queries  # type: ignore[union-attr]
    assert len(files(tmp_path)) == 2


def test_they_are_the_same_images(tmp_path: Path, made: list[int]) -> None:
    assert np.array_equal(look(), plain())
    for _ in range(4):
        assert np.array_equal(look(), plain())
    assert sum(made) == len(ROWS)
    look(view=parse_view("corruption:gaussian_noise@3/both"))
    assert sum(made) == len(ROWS), "queries alone or both sides: the queries are the same"
    look(ROWS[:-1])
    look(view=parse_view("corruption:gaussian_noise@2"))
    assert sum(made) == 3 * len(ROWS) - 1


def test_those_that_ask_at_once_wait_for_one_making(tmp_path: Path, made: list[int]) -> None:
    """Five at a time, as the workers of a sweep that reach a view together."""
    makings, together = list[int](), threading.Barrier(5)

    def make(start: int, stop: int) -> np.ndarray:
        makings.append(stop - start)
        return np.arange(start, stop, dtype=np.uint8)[:, None].repeat(4, 1)

    def ask() -> np.ndarray | None:
        together.wait()
        return view_cache.kept("five-at-once", (200, 4), make)

    with ThreadPoolExecutor(5) as pool:
        found = [one.result() for one in [pool.submit(ask) for _ in range(5)]]
    assert makings == [200]
    assert all(one is not None and np.array_equal(one, found[0]) for one in found)


@pytest.mark.parametrize("damage", ["cut", "changed", "killed"])
def test_what_is_not_whole_is_made_again(tmp_path: Path, made: list[int], damage: str) -> None:
    look()
    (path,) = (tmp_path / "cache" / "views").glob("*.npy")
    if damage == "killed":  # while it was written
        path.rename(path.with_name(f".{path.name}.partial"))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    assert np.array_equal(look(), plain())
    assert sum(made) == 2 * len(ROWS)


def test_a_copied_cache_is_believed_by_its_digest(tmp_path: Path, made: list[int]) -> None:
    look()
    (path,) = (tmp_path / "cache" / "views").glob("*.npy")
    os.utime(path, (1.0, 1.0))
    assert np.array_equal(look(), plain())
    assert sum(made) == len(ROWS)


def test_the_limit_holds_and_long_unused_views_go_first(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = plain().nbytes
    monkeypatch.setenv("BENCHMARK_VIEW_CACHE_GIB", repr(2.5 * one / 2**30))
    for severity in (1, 2, 3):
        look(view=parse_view(f"corruption:gaussian_noise@{severity}"))
    assert [name for name in files(tmp_path) if name.endswith(".npy") and "noise-3" in name] == []
    assert "is full" in caplog.text
    old = next((tmp_path / "cache" / "views").glob("*noise-1*.npy"))
    os.utime(old, ns=(1, old.stat().st_mtime_ns))
    monkeypatch.setattr(view_images, "_cache", type(view_images._cache)())
    look()
    kept = [name for name in files(tmp_path) if name.endswith(".npy")]
    assert ["noise-1" in name for name in kept] == [False, False]


def test_none_are_kept_where_none_may_be(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_VIEW_CACHE_GIB", "0")
    assert np.array_equal(look(), plain())
    assert not (tmp_path / "cache" / "views").exists()
    look()
    assert sum(made) == len(ROWS), "this process still has them"
    monkeypatch.setenv("BENCHMARK_VIEW_CACHE_GIB", "much")
    with pytest.raises(InputError, match="BENCHMARK_VIEW_CACHE_GIB is 'much'; allowed: a number of GiB"):
        look()


def test_a_cache_that_cannot_be_written_costs_the_making_alone(
    made: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(view_cache, "_write", full)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(look(), plain())
    assert "No space left" in caplog.text
