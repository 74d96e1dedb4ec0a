"""Imports point one way: a room imports only rooms before it, and no two files import each other in a circle."""

from __future__ import annotations

import ast
import graphlib
import importlib
from pathlib import Path

import pytest

import benchmark

ROOT = Path(benchmark.__file__).parent

#: From the bottom of the house upwards. `methods` and `datasets` may import `PLUGIN_MAY_IMPORT` only.
ROOMS = (
    "errors",
    "files",
    "spec",
    "contracts",
    "methods",
    "datasets",
    "metrics",
    "scoring",
    "store",
    "data",
    "registry",
    "fit",
    "report",
    "sweep",
    "authoring",
    "use",
    "cli",
)
#: Modules that only hand a room on, under the address that others know.
ADDRESS_OF = {
    "stepwise": "methods",
    "losses": "methods",
    "shallow": "methods",
    "conformance": "authoring",
    "__main__": "cli",
}
PLUGIN_MAY_IMPORT = {"errors", "spec", "contracts"}


def _imports(path: Path) -> set[str]:
    """The address below `benchmark` of every import, those inside functions and guarded ones included.

    A name that is imported is part of its address: `spec.FitSpec`, `spec.views.parse_view`.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            found.add(f"relative import {node.module}")
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("benchmark."):
            found |= {f"{node.module}.{alias.name}".removeprefix("benchmark.") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                a.name.removeprefix("benchmark.") for a in node.names if a.name.startswith("benchmark.")
            }
    return found - {"__version__"}  # lies in the package itself


def _rooms(path: Path) -> set[str]:
    return {ADDRESS_OF.get(name, name) for name in (address.split(".")[0] for address in _imports(path))}


def _address(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _circle(root: Path) -> list[str]:
    """Files that import each other in a circle; empty when there are none.

    Counted is what an import statement names, wherever it stands: the module, or the package that hands a name on;
    not that a module's own packages are made first.
    """
    files = {_address(path, root): path for path in root.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        named = (address if address in files else address.rpartition(".")[0] for address in _imports(path))
        graph[name] = {other for other in named if other in files} - {name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def test_every_module_has_a_room() -> None:
    assert {_address(path).split(".")[0] for path in MODULES} == {*ROOMS, *ADDRESS_OF} - {
        "methods",
        "datasets",
    }


def test_tests_lie_in_the_folder_of_their_room() -> None:
    tests = Path(__file__).parent
    assert {path.parent.name for path in tests.glob("*/test_*.py")} <= {*ROOMS, "docs"}
    assert all((path.parent / "__init__.py").is_file() for path in tests.glob("*/test_*.py"))
    # Of the checkout as a whole:
    whole = {"layers", "size", "plugin_names", "budget", "plain_processor", "gpu_check"}
    assert {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")} <= whole


@pytest.mark.parametrize("path", MODULES, ids=_address)
def test_imports_point_down(path: Path) -> None:
    room = _address(path).split(".")[0]
    here = ROOMS.index(ADDRESS_OF.get(room, room))
    for name in _rooms(path):
        assert name in ROOMS, f"{path.name} imports {name}"
        assert ROOMS.index(name) <= here, f"{path.name} imports {name}, which lies above it"


def test_no_two_files_import_each_other_in_a_circle() -> None:
    assert _circle(ROOT) == []


def test_an_arrow_that_points_up_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from benchmark.sweep.plan import plan\n    from benchmark import cli\n")
    assert _imports(bad) == {"sweep.plan.plan", "cli"}
    assert _rooms(bad) == {"sweep", "cli"}


def test_a_circle_is_found(tmp_path: Path) -> None:
    for name, text in {
        "one.py": "from benchmark.room.two import b\n",
        "room/__init__.py": "from benchmark.room.two import b\n",
        "room/two.py": "def f():\n    from benchmark.room import three\n",
        "room/three.py": "import benchmark.errors\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _circle(tmp_path) == []
    (tmp_path / "room" / "three.py").write_text("def f():\n    from benchmark.one import a\n")
    assert set(_circle(tmp_path)) == {"one", "room.two", "room.three"}


@pytest.mark.parametrize("package", ["methods", "datasets"])
def test_plugins_see_the_contract_only(package: str) -> None:
    for path in (ROOT.parent / package).rglob("*.py"):
        assert _rooms(path) <= PLUGIN_MAY_IMPORT | {package}, f"{path} sees more than the contract"
        for address in _imports(path):
            direct = address.count(".") == 1 or address.split(".")[0] not in PLUGIN_MAY_IMPORT
            assert direct, f"{path} imports benchmark.{address} past the contract's own address"


@pytest.mark.parametrize("package", ["methods", "datasets"])
def test_plugins_take_no_other_librarys_name(package: str) -> None:
    """A regular package `datasets` here would stand before the Hugging Face library in a checkout."""
    assert not (ROOT.parent / package / "__init__.py").exists()
    module = importlib.import_module(f"benchmark.{package}")
    assert [*module.__path__] == [str(ROOT.parent / package)]
