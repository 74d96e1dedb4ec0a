"""From nothing to a row in the table: `new`, and methods that live in installed packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.authoring import new_method
from benchmark.errors import InputError
from tests.programs import PATIENCE

ROOT = Path(__file__).parents[2]
RunCli = Callable[..., tuple[int, str, str]]


def test_new_writes_a_method_and_a_test_that_pass_at_once(tmp_path: Path) -> None:
    """In a copy of the checkout: other test processes scan the real one at the same time."""
    for folder in ("benchmark", "methods", "datasets", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmark", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    files = [
        tmp_path / "methods" / "scaffold_probe.py",
        tmp_path / "tests" / "methods" / "test_scaffold_probe.py",
    ]
    done = call("new", "scaffold-probe")
    assert done.returncode == 0, done.stderr
    assert all(path.is_file() and str(path) in done.stdout for path in files)
    assert "scaffold-probe" in call("list", "methods").stdout
    done = call("check", "scaffold-probe")
    assert done.returncode == 0, done.stdout + done.stderr
    assert call("new", "scaffold-probe").returncode == 2
    test = files[1].read_text()
    assert "from benchmark.methods.scaffold_probe import ScaffoldProbe" in test
    compile(test, "test", "exec")


def test_what_new_writes_is_formatted_and_linted(tmp_path: Path) -> None:
    files = new_method.create("well-kept", tmp_path / "package")
    ruff = [sys.executable, "-m", "ruff"]
    sources = [str(path) for path in files if path.suffix == ".py"]
    if subprocess.run([*ruff, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("ruff is not installed")
    config = ["--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*ruff, "format", "--check", *config, *sources], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    done = subprocess.run(
        [*ruff, "check", *config, "--ignore", "D1,I001", *sources],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "Upper",
        "1st",
        "two--hyphens",
        "-x",
        "x-",
        "with space",
        "under_score",
        "class",
        "",
        "a" * 65,
        "../x",
        "é",
    ],
)
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no method name"):
        new_method.create(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_taken_names_and_files_are_refused(run_cli: RunCli, tmp_path: Path) -> None:
    for name in ("lsh", "itq-cca", "hashnet", "coophash"):
        code, _, err = run_cli("new", name, "--directory", tmp_path)
        assert code == 2
        assert "already taken" in err
    assert run_cli("new", "torch", "--directory", tmp_path)[0] == 2
    (tmp_path / "fresh.py").write_text("mine")
    code, _, err = run_cli("new", "fresh", "--directory", tmp_path)
    assert code == 2
    assert "already there" in err
    assert (tmp_path / "fresh.py").read_text() == "mine"
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run_cli("new", "fresh", "--directory", blocked / "inside")[0] == 2


def benchmark(*arguments: str, site: Path, cache: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "BENCHMARK_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.slow
def test_an_installed_package_appears_in_list_check_and_run(tmp_path: Path) -> None:
    """Written by `new` outside the checkout, built and installed by pip without any network."""
    source, site, cache = tmp_path / "outside", tmp_path / "site", tmp_path / "cache"
    new_method.create("outsider", source)
    pip = ["install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(site)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *pip, str(source)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = benchmark("list", "methods", "--json", site=site, cache=cache, cwd=tmp_path)
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["outsider"]["origin"] == "package coophash-benchmark-outsider"
    assert not rows["outsider"]["error"]
    checked = benchmark("check", "outsider", site=site, cache=cache, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    run = ["run", "--methods", "outsider", "--datasets", "digits", "--bits", "12", "--epochs", "2"]
    ran = benchmark(*run, "--results", "out", "--tracking-uri", "none", site=site, cache=cache, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (record,) = (tmp_path / "out").rglob("record.json")
    assert json.loads(record.read_text())["spec"]["method"] == "outsider"


def test_duplicate_and_incompatible_packages_are_listed_with_the_reason(
    run_cli: RunCli, plugin: Callable[..., Path]
) -> None:
    plugin("lsh", "from benchmark.methods.lsh import LSH as Mine", target="Mine")
    plugin("plain", "class Plain: pass", target="Plain")
    plugin("gone", "", target="NotThere")
    code, out, _ = run_cli("list", "methods", "--json")
    assert code == 0
    rows = json.loads(out)
    reasons = {row["origin"]: row["error"] for row in rows if row["error"]}
    assert "already taken by methods/lsh.py" in reasons["package throwaway_lsh"]
    assert "no HashMethod subclass" in reasons["package throwaway_plain"]
    assert "NotThere" in reasons["package throwaway_gone"]
    assert any(row["name"] == "lsh" and not row["error"] for row in rows)
