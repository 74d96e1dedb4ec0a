"""FitLocks: one driver wins, a dead or silent one is replaced, and only its own claims are its to give up."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import pytest

from benchmark.store import locks
from benchmark.store.locks import FitLocks, running
from tests.programs import PATIENCE, wait_until

FIT = "0123456789abcdef"


def dead_owner(root: Path) -> None:
    """Leave the claim of a process of this machine that is gone."""
    script = "import sys, pathlib\nfrom benchmark.store.locks import FitLocks\n"
    script += "FitLocks(pathlib.Path(sys.argv[1])).take(sys.argv[2])"
    subprocess.run([sys.executable, "-c", script, str(root), FIT], check=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The clock by which claims grow old: it stands still until it is set forward."""
    now = [1000.0]

    def forward(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return forward


def foreign_owner(root: Path) -> Path:
    """Leave the claim of a driver on another machine."""
    path = root / "claims" / f"{FIT}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"token": "x", "machine": "another", "host": "far", "pid": 1, "born": "1"}))
    return path


def test_one_of_two_wins(tmp_path: Path) -> None:
    one, two = FitLocks(tmp_path), FitLocks(tmp_path)
    assert one.take(FIT)
    assert not two.take(FIT)
    assert one.owns(FIT)
    assert not two.owns(FIT)
    assert f"process {os.getpid()}" in two.holder(FIT)
    two.release(FIT)
    assert one.owns(FIT), "a claim is its owner's to give up"
    one.release(FIT)
    assert two.take(FIT)


def test_one_of_many_wins_at_once(tmp_path: Path) -> None:
    for number in range(20):
        drivers = [FitLocks(tmp_path) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            taken = [*pool.map(lambda driver, n=number: driver.take(f"{n:016x}"), drivers)]  # type: ignore[misc]
        assert sum(taken) == 1


def test_a_dead_process_of_this_machine_is_replaced_at_once_and_once(tmp_path: Path) -> None:
    dead_owner(tmp_path)
    drivers = [FitLocks(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        taken = [*pool.map(lambda driver: driver.take(FIT), drivers)]
    assert sum(taken) == 1
    assert [driver.owns(FIT) for driver in drivers] == taken


def test_a_silent_driver_elsewhere_is_replaced_after_a_while(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    path = foreign_owner(tmp_path)
    driver = FitLocks(tmp_path, stale=60)
    assert not driver.take(FIT), "it may be alive: nothing is known of it yet"
    clock(50)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))  # its heartbeat
    assert not driver.take(FIT)
    clock(59)
    assert not driver.take(FIT), "59 s after the last heartbeat seen"
    clock(2)
    assert driver.take(FIT)


def test_a_claim_is_kept_fresh(tmp_path: Path) -> None:
    with FitLocks(tmp_path, beat=0.05) as driver:
        assert driver.take(FIT)
        path = tmp_path / "claims" / f"{FIT}.json"
        os.utime(path, (1, 1))
        wait_until(lambda: path.stat().st_mtime > 1)
    assert not path.exists(), "the end of a run gives its claims up"


def test_a_claim_that_was_taken_over_is_no_longer_ours(tmp_path: Path) -> None:
    sleeper = FitLocks(tmp_path)
    assert sleeper.take(FIT)
    foreign_owner(tmp_path)
    assert not sleeper.owns(FIT)
    sleeper.release(FIT)
    assert (tmp_path / "claims" / f"{FIT}.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe", b"[" * 4000])
def test_a_damaged_claim_is_stale_in_its_time(
    tmp_path: Path, clock: Callable[[float], None], content: bytes
) -> None:
    foreign_owner(tmp_path).write_bytes(content)
    driver = FitLocks(tmp_path, stale=60)
    assert not driver.take(FIT)
    clock(59)
    assert not driver.take(FIT)
    clock(2)
    assert driver.take(FIT)


def test_without_locks_the_last_to_replace_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst case: all four find it stale before one has replaced it, and all have before one looks again."""
    dead_owner(tmp_path)
    together, is_stale = Barrier(4, timeout=PATIENCE), FitLocks._is_stale

    def all_find_it_stale(self: FitLocks, path: Path, fit_id: str) -> bool:
        found = is_stale(self, path, fit_id)
        together.wait()
        return found

    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(FitLocks, "_is_stale", all_find_it_stale)
    monkeypatch.setattr(locks, "time", SimpleNamespace(sleep=lambda seconds: together.wait()))
    drivers = [FitLocks(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda driver: driver.take(FIT), drivers)) == 1


def test_a_full_disk_leaves_no_empty_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        FitLocks(tmp_path).take(FIT)
    assert not [*(tmp_path / "claims").glob("*.json")]


def test_what_dead_drivers_left_of_finished_fits_goes(tmp_path: Path) -> None:
    dead_owner(tmp_path)
    living = FitLocks(tmp_path)
    assert living.take("f" * 16)
    FitLocks(tmp_path).tidy([FIT, "f" * 16, "e" * 16])
    assert [path.stem for path in (tmp_path / "claims").glob("*.json")] == ["f" * 16]


def test_who_works_and_how_far_is_known_from_outside(tmp_path: Path) -> None:
    """A living driver's last word; none once it gives the fit up; a dead one, or one long silent, works no more."""
    ours = FitLocks(tmp_path)
    ours.tell(FIT, {"step": 1})  # not ours yet: not said
    assert ours.take(FIT)
    ours.tell(FIT, {"step": 3, "steps": 9})
    ours.tell(FIT, {"step": 4, "steps": 9})  # too soon after
    assert running(tmp_path) == {
        FIT: {"host": platform.node(), "pid": os.getpid(), "step": 3, "steps": 9},
    }
    word = tmp_path / "claims" / f"{FIT}.progress"
    word.write_text('{"token": "another"}')
    assert "token" not in running(tmp_path)[FIT]
    assert "step" not in running(tmp_path)[FIT], "the word of a driver that had the fit before"
    ours.release(FIT)
    assert running(tmp_path) == {}
    assert not word.exists()
    dead_owner(tmp_path)
    assert running(tmp_path) == {}
    claim = foreign_owner(tmp_path)
    assert running(tmp_path)[FIT]["host"] == "far"
    os.utime(claim, (0, 0))
    assert running(tmp_path) == {}
