"""From a number back to what made it."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import registry
from benchmark.errors import InputError
from benchmark.spec.command import command_of as command
from benchmark.store.store import Store, find
from tests.helpers import execute, method_source, one_spec

Cli = Callable[..., tuple[int, str, str]]
CHANGES = {"methods": ("itq", "lsh"), "bits": (8,), "params": {"itq": {"iterations": 7}}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return execute(tmp_path / "runs", **CHANGES)[2]  # type: ignore[arg-type]


def test_show_prints_the_record_and_its_command(store: Store, run_cli: Cli) -> None:
    record = next(r for r in store.records() if r.spec.method == "itq")
    code, out, _ = run_cli("show", record.fit_id[:9], "--results", store.root)
    assert code == 0
    for text in (
        record.fit_id,
        "itq digits 8b s0",
        f"map {record.score():.4f}",
        "fingerprint",
        "commit",
        "torch",
    ):
        assert text in out
    assert "--set itq.iterations=7" in out
    code, out, _ = run_cli("show", record.fit_id, "--results", store.root, "--json")
    assert json.loads(out)["fit_id"] == record.fit_id


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ("itq",), "params": {"itq": {"iterations": 7}}},
        {"methods": ("hashnet",), "label_fractions": (0.3,), "seeds": (3,), "selection": "val", "epochs": 2},
        {"methods": ("coophash",), "batch_size": 32, "precision": "fp32"},
        {"methods": ("csq",), "protocol": "balanced-20-50"},
        {"methods": ("hashnet",), "params": {"hashnet": {"lr": 0.00012345678901}}},
    ],
)
def test_the_command_makes_the_same_fit(changes: dict[str, object], run_cli: Cli) -> None:
    from benchmark.spec import suites
    from benchmark.sweep import plan as planning

    spec = one_spec(**changes)
    words = shlex.split(command(spec))
    assert words[:4] == ["python", "-m", "benchmark", "run"]
    flags = dict[str, object]()
    sets = []
    for name, value in zip(words[4::2], words[5::2], strict=True):
        if name == "--set":
            sets.append(value)
        else:
            flags[name[2:].replace("-", "_")] = value
    config = suites.resolve(None, {**flags, "set": sets})
    (cell,) = planning.plan(config.sweep, Store(Path("/nonexistent")), None).fits
    assert cell.fit is not None
    assert cell.fit == spec
    code, out, _ = run_cli(*words[3:], "--plan")
    assert code == 0
    assert "1 would run" in out


def test_every_method_can_be_named_again() -> None:
    """Default parameters of every kind survive the way through the command line."""
    from benchmark.spec import suites
    from benchmark.sweep import plan as planning

    for name in registry.names("methods"):
        plan = planning.plan(
            suites.resolve(None, {"methods": name, "bits": "16"}).sweep, Store(Path("/none")), None
        )
        if plan.fits[0].fit is None:
            continue
        spec = plan.fits[0].fit
        words = shlex.split(command(spec))
        sets = [value for flag, value in zip(words[4::2], words[5::2], strict=True) if flag == "--set"]
        given = suites.parse_assignments(sets).get(name, {})
        assert registry.method_params(name, given).model_dump(mode="json") == spec.params


def test_verify_repeats_a_fit(store: Store, run_cli: Cli) -> None:
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    for record in store.records():
        code, out, _ = run_cli("verify", record.fit_id, "--results", store.root, "--device", "cpu")
        assert code == 0, out
        assert "verified: " in out
        assert "code bits are the same" in out
    assert before == {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_verify_finds_one_wrong_bit(store: Store, run_cli: Cli) -> None:
    record = next(store.records())
    path = store.folder(record.spec) / "codes.npz"
    codes = {key: np.array(value) for key, value in store.codes(record.spec).items()}
    codes["database_codes"][5, 0] ^= 4
    np.savez(path, **codes)  # type: ignore[arg-type]
    code, out, _ = run_cli("verify", record.fit_id, "--results", store.root, "--device", "cpu")
    assert code == 1
    assert "1 of 14,376 code bits differ" in out


def test_verify_says_what_changed(tmp_path: Path, plugin: Callable[..., Path], run_cli: Cli) -> None:
    path = plugin("moving", method_source("moving"))
    _, _, store = execute(tmp_path / "runs", methods=("moving",), bits=(8,))
    (record,) = store.records()
    path.write_text(path.read_text().replace("64.5", "8.5"))
    registry.refresh()
    sys.modules.pop("throwaway_moving")
    code, out, _ = run_cli("verify", record.fit_id, "--results", store.root, "--device", "cpu")
    assert code == 1
    assert "source has changed" in out
    path.write_text(path.read_text().replace("version=1", "version=2"))
    registry.refresh()
    sys.modules.pop("throwaway_moving")
    code, out, _ = run_cli("verify", record.fit_id, "--results", store.root, "--device", "cpu")
    assert code == 1
    assert "another fit now: method_version 1 is 2 here" in out


def test_a_failed_fit_has_nothing_to_verify(
    tmp_path: Path, plugin: Callable[..., Path], run_cli: Cli
) -> None:
    plugin("faulty", method_source("faulty", fit="raise ValueError('broken \\x1b[31mred')"))
    _, _, store = execute(tmp_path / "runs", methods=("faulty",), bits=(8,))
    (record,) = store.records()
    code, _, err = run_cli("verify", record.fit_id, "--results", store.root)
    assert code == 2
    assert "no codes to compare" in err
    code, out, _ = run_cli("show", record.fit_id, "--results", store.root)
    assert code == 0
    assert "ValueError: broken" in out
    assert "\x1b" not in out, "a record must not steer the terminal"
    assert "\x1b" not in run_cli("status", "--results", store.root)[1]


@pytest.mark.parametrize("fit_id", ["", "zz", "0" * 17, "../..", "ABCDEF"])
def test_what_is_no_id_is_refused(store: Store, run_cli: Cli, fit_id: str) -> None:
    code, _, err = run_cli("show", fit_id, "--results", store.root)
    assert code == 2
    assert "is no fit id" in err
    assert err.count("\n") == 1


def test_a_prefix_must_name_one_record(tmp_path: Path, run_cli: Cli) -> None:
    store = execute(tmp_path / "runs", methods=("lsh",), bits=(8,), seeds=tuple(range(17)))[2]
    first = sorted(store.ids())
    shared = next(a[0] for a, b in itertools.pairwise(first) if a[0] == b[0])  # of 17 ids, two begin alike
    code, _, err = run_cli("show", shared, "--results", store.root)
    assert code == 2
    assert "begins" in err
    with pytest.raises(InputError, match="no record"):
        find(store, "f" * 16)
