"""benchmarks/gpu_check on a CPU: every stage runs, so that it runs on the day that there is a GPU."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECK = runpy.run_path(str(ROOT / "benchmarks" / "gpu_check" / "__main__.py"), run_name="gpu_check")


def test_a_dry_run(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.fit.compiled.BACKEND", "aot_eager")  # the compiler proper takes a minute
    assert CHECK["main"](["--out", str(tmp_path), "--tiny", "--device", "cpu"], run_cli) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert {*found} == {*CHECK["STAGES"]} - {"tests"}
    assert not [name for name, rows in found.items() if "error" in rows]
    timed = found["speed"]
    assert timed["hashnet compact fp32"]["update"]["updates_per_s"] > 0
    assert timed["coophash compact fp32"]["update"]["updates_per_s"] > 0
    assert timed["hashnet compact fp32 compiled"]["compiled"] == "aot_eager: hash"
    assert timed["hashnet compact fp32 compiled"]["update"]["ms"] > 0
    assert {"stage 1", "stage 2"} <= {*timed["hashgan compact fp32"]}
    assert all(row["ms"] > 0 for row in timed["hashgan compact fp32"].values() if isinstance(row, dict))
    assert found["share"]["hashnet x 1"]["together"] > 0
    assert found["scoring"]["50 x 2000, 64 bits"]["same"]
    assert found["train"]["again: hashnet"].startswith("verified: hashnet digits 32b")
    assert found["train"]["fits"][0]["state"] == "done"
    assert "## scoring" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "results.tar.gz").is_file()


def test_a_stage_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        CHECK["main"](["--out", str(tmp_path / "new"), "--only", "machine,sped"])
    assert left.value.code == 2
    assert "--only sped: no such stage; allowed: machine, tests, speed" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_stage_that_fails_lets_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*arguments: object) -> tuple[int, str, str]:
        raise OSError("no such command")

    words = ["--out", str(tmp_path), "--tiny", "--device", "cpu", "--only", "machine,train,scoring"]
    assert CHECK["main"](words, fails) == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["train"]["error"] == "OSError: no such command"
    assert found["scoring"]["50 x 2000, 64 bits"]["same"]
    assert "no such command" in (tmp_path / "train.error").read_text()
    assert "no such command" in capsys.readouterr().out
