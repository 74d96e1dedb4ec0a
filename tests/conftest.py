"""Fixtures: a cache of the session's own, throw-away plug-in packages, the real data folder."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.programs import Held

# Before anything of the project is imported: tests must not read or write the user's cache.
_CACHE = tempfile.TemporaryDirectory(prefix="benchmark-test-cache-")
os.environ["BENCHMARK_CACHE"] = _CACHE.name
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that processes that take a file each end together."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Fits this small gain nothing from a second thread, and threads decide the order of float sums."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install a throw-away package with an entry point: `plugin("name", source, group="methods")`."""
    from benchmark import registry

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    # Compiled files know a source by its second and its size: an edit within a second would not be seen.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: list[str] = []

    def install(name: str, source: str, group: str = "methods", target: str = "") -> Path:
        module = f"throwaway_{name}"
        path = site / f"{module}.py"
        path.write_text(textwrap.dedent(source))
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        points = f"[coophash_benchmark.{group}]\n{name} = {module}{':' + target if target else ''}\n"
        (info / "entry_points.txt").write_text(points)
        made.append(module)
        importlib.invalidate_caches()  # they know a folder by its time
        registry.refresh()
        return path

    yield install
    for module in made:
        sys.modules.pop(module, None)
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def held(plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Install the method `held`, here and for the processes that a test starts."""
    from tests.programs import HELD, Held

    plugin("held", HELD)
    folder = tmp_path / "held"
    folder.mkdir()
    monkeypatch.setenv("HELD", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    return Held(folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped, and say so, without one."""
    given = os.environ.get("BENCHMARK_DATA")
    if not given or not Path(given).is_dir():
        pytest.skip("BENCHMARK_DATA names no folder: real MNIST and CIFAR-10 are not tested")
    return Path(given)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line in this process: `code, out, err = run_cli("list", "methods")`."""
    from benchmark.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
