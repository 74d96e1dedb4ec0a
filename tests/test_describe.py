from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmark.records import Artifacts, Store
from benchmark.report import render
from tests.test_report import made


def test_a_built_model_is_listed_and_drawn(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, _ = run_cli(
        "describe", "coophash", "--dataset", "digits", "--bits", "16", "--results", str(tmp_path)
    )
    assert code == 0
    facts = json.loads((tmp_path / "architecture" / "coophash.json").read_text())
    parts = {part["name"]: part for network in facts["networks"] for part in network["parts"]}
    assert parts["hash_head"]["layers"][0].startswith("Linear 16x")
    assert parts["base"]["parameters"] > 0
    Store(tmp_path).save(made(0.4), Artifacts())
    names = {path.name for path in render(tmp_path, tmp_path / "out", "figure1")}
    assert "figure1-coophash.png" in names


def test_a_method_without_networks_is_refused(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run_cli("describe", "itq", "--dataset", "digits")
    assert (code, "builds no networks" in err) == (2, True)
