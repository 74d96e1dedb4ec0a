"""Every committed report is made again from the records beside it: equal text, pictures within a tolerance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmark.report import check
from benchmark.report.write import MANIFEST

pytestmark = pytest.mark.processor

ROOT = Path(__file__).parents[2]
#: A folder that someone adds is covered without a change here.
FOLDERS = sorted({path.parents[3].name for path in ROOT.glob("results/reproduced/*/*/*/*/record.json")})


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in a report name its results folder as it was given: relative to the repository."""
    monkeypatch.chdir(ROOT)


def test_there_are_committed_results() -> None:
    assert {"digits", "features-main", "features-scarcity", "coophash-generation"} <= set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_committed_report_is_made_again_from_its_records(name: str, tmp_path: Path) -> None:
    results = Path("results/reproduced") / name
    problems = check(results, results / "report", tmp_path)
    again = ",".join(json.loads((results / "report" / MANIFEST).read_text())["artifacts"])
    command = f"python -m benchmark report --results {results} --only {again} --formats png"
    assert not problems, f"{len(problems)} files differ: {problems[:10]}; if that is meant: {command}"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_committed_report_holds_what_its_manifest_names_and_no_more(name: str) -> None:
    report = Path("results/reproduced") / name / "report"
    manifest = json.loads((report / MANIFEST).read_text())
    wanted = {*manifest["text"], *manifest["images"], manifest["page"], MANIFEST}
    assert manifest["formats"] == ["png"], "figures once, and no tables twice: `--formats png`"
    assert {path.name for path in report.iterdir()} == wanted


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    results = tmp_path / "digits"
    shutil.copytree(ROOT / "results/reproduced/digits", results)
    record = next(results.glob("digits/itq/*/record.json"))
    content = json.loads(record.read_text())
    content["scores"][0]["value"] += 0.01
    record.write_text(json.dumps(content))
    manifest = results / "report" / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "artifacts": ["table1"]}))
    problems = check(results, results / "report", tmp_path / "made")
    assert any(problem.startswith("table1-") and problem.endswith("differs") for problem in problems)


def test_a_methods_later_version_does_not_change_a_committed_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.report import declared_methods

    results = Path("results/reproduced/features-neighbours")
    declared = declared_methods._declared()
    later = {
        name: declared_methods.Known(one.version + 1, one.title, {"new": 1}, one.base)
        for name, one in declared.items()
    }
    monkeypatch.setattr(declared_methods, "_declared", lambda: later)
    assert check(results, results / "report", tmp_path) == []
