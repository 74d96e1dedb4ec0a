"""Imports point one way: a module may import only modules above it in this table."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import benchmark

ROOT = Path(benchmark.__file__).parent

#: From the bottom of the building upwards. `methods` and `datasets` may import `PLUGIN_MAY_IMPORT` only.
LAYERS = (
    "errors",
    "rounding",
    "spec",
    "views",
    "corruptions",
    "dataset",
    "contracts",
    "methods",
    "datasets",
    "stepwise",
    "losses",
    "shallow",
    "metrics",
    "scoring",
    "results",
    "writing",
    "records",
    "thin",
    "viewstore",
    "index",
    "claims",
    "environment",
    "pictures",
    "decoding",
    "cachefiles",
    "inventory",
    "datastore",
    "protocol",
    "registry",
    "audit",
    "devices",
    "evaluation",
    "viewing",
    "curves",
    "watch",
    "failures",
    "trial",
    "revisit",
    "executors",
    "work",
    "tracked",
    "tracker_uri",
    "tracking",
    "progress",
    "suites",
    "lookup",
    "planning",
    "forecast",
    "stopping",
    "outcomes",
    "runner",
    "provenance",
    "status",
    "summary",
    "describe",
    "report",
    "compact",
    "conformance",
    "tuning",
    "scaffold",
    "declaring",
    "cli",
    "__main__",
)
PLUGIN_MAY_IMPORT = {"errors", "spec", "contracts"}


def _imports(path: Path) -> set[str]:
    """The first part below `benchmark` of every absolute import of it, imports inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "benchmark":
            found |= {alias.name for alias in node.names} - {"__version__"}  # lies in the package itself
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("benchmark.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(f"relative import {node.module}")
    return found


def _layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT)


def test_every_module_has_a_layer() -> None:
    assert {_layer(path) for path in MODULES} <= set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = LAYERS.index(_layer(path))
    for name in _imports(path):
        assert name in LAYERS, f"{path.name} imports {name}"
        assert LAYERS.index(name) <= here, f"{path.name} imports {name}, which lies above it"


def test_an_arrow_that_points_up_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from benchmark.runner import plan\n    from benchmark import cli\n")
    assert _imports(bad) == {"runner", "cli"}


@pytest.mark.parametrize("package", ["methods", "datasets"])
def test_plugins_see_the_contract_only(package: str) -> None:
    for path in (ROOT.parent / package).rglob("*.py"):
        assert _imports(path) <= PLUGIN_MAY_IMPORT | {package}, f"{path} sees more than the contract"


@pytest.mark.parametrize("package", ["methods", "datasets"])
def test_plugins_take_no_other_librarys_name(package: str) -> None:
    """A regular package `datasets` here would stand before the Hugging Face library in a checkout."""
    assert not (ROOT.parent / package / "__init__.py").exists()
    module = importlib.import_module(f"benchmark.{package}")
    assert [*module.__path__] == [str(ROOT.parent / package)]
