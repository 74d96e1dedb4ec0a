"""A failure is one line; `--traceback` of `check`, `run` and `show` gives the place where it was raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.store.store import Store
from tests.helpers import method_source

Cli = Callable[..., tuple[int, str, str]]
WHERE = 'throwaway_wrong.py", line'


@pytest.fixture
def _wrong(plugin: Callable[..., Path]) -> None:
    plugin("wrong", method_source("wrong", fit="raise RuntimeError('no luck')"), target="Thrown")


@pytest.mark.usefixtures("_wrong")
def test_check_shows_where_a_method_raised(run_cli: Cli) -> None:
    code, out, _ = run_cli("check", "wrong")
    assert code == 1
    assert "fit raised RuntimeError: no luck" in out
    assert "Traceback" not in out
    for quiet in ((), ("--quiet",)):
        code, out, _ = run_cli("check", "wrong", "--traceback", *quiet)
        assert code == 1
        assert WHERE in out
        assert "RuntimeError: no luck" in out


@pytest.mark.usefixtures("_wrong")
def test_run_and_show_give_the_traceback_of_a_failed_fit(run_cli: Cli, tmp_path: Path) -> None:
    results = tmp_path / "runs"
    words = ("--methods", "wrong,lsh", "--bits", "16", "--results", results, "--tracking-uri", "none")
    code, out, err = run_cli("run", *words)
    assert code == 1
    assert "Traceback" not in out + err
    code, out, _ = run_cli("run", *words, "--retry", "failed", "--traceback")
    assert code == 1
    assert out.count("Traceback") == 1
    assert WHERE in out

    records = {record.spec.method: record for record in Store(results).records()}
    failed, done = records["wrong"], records["lsh"]
    code, out, _ = run_cli("show", failed.fit_id, "--results", results)
    assert "RuntimeError: no luck" in out
    assert "give --traceback" in out
    assert WHERE not in out
    assert WHERE in run_cli("show", failed.fit_id, "--results", results, "--traceback")[1]
    assert "none: the fit is done" in run_cli("show", done.fit_id, "--results", results, "--traceback")[1]
    bare = failed.model_copy(update={"failure": failed.failure.model_copy(update={"traceback": ""})})
    Store(results).put(bare, {})
    out = run_cli("show", failed.fit_id, "--results", results, "--traceback")[1]
    assert "no traceback: nothing was raised here" in out


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_plug_in_that_cannot_be_imported(
    run_cli: Cli, plugin: Callable[..., Path], command: str, tmp_path: Path
) -> None:
    plugin("wrong", "def read():\n    raise ImportError('its library is missing')\nread()\n", target="Thrown")
    words = {"check": ("throwaway-wrong",), "run": ("--methods", "throwaway-wrong", "--results", tmp_path)}
    code, out, err = run_cli(command, *words[command])
    assert code == 2
    assert "its library is missing" in err
    assert WHERE not in out + err
    code, out, err = run_cli(command, *words[command], "--traceback")
    assert code == 2
    assert WHERE in err
    assert err.splitlines()[-1].startswith("error: ")
