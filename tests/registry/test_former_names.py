"""Plug-ins that know the project's pieces by their former names."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from benchmark.registry.former_names import former_names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] in ("methods", "datasets", "older")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def load(folder: Path, source: str) -> object:
    (folder / "older.py").write_text(source)
    importlib.invalidate_caches()
    sys.modules.pop("older", None)
    with former_names("package older"):
        return importlib.import_module("older")


def test_the_very_same_pieces_answer_and_the_new_address_is_named(folder: Path) -> None:
    from benchmark import losses, stepwise

    source = (
        "from methods._stepwise import StepwiseMethod\nfrom methods._pairs import cosine\n"
        "from methods.lsh import LSH\nimport methods._recipes as recipes\n"
    )
    with pytest.warns(FutureWarning) as caught:
        module = load(folder, source)
    assert module.StepwiseMethod is stepwise.StepwiseMethod  # type: ignore[attr-defined]
    assert module.cosine is losses.cosine  # type: ignore[attr-defined]
    assert module.recipes.Recipe is stepwise.Recipe  # type: ignore[attr-defined]
    text = " ".join(str(one.message) for one in caught)
    assert "package older imports 'methods._stepwise', which is 'benchmark.stepwise' now" in text
    assert "'benchmark.losses'" in text
    assert "'benchmark.methods.lsh'" in text
    real = importlib.import_module("benchmark.methods._stepwise")
    assert real.__name__ == real.__spec__.name == "benchmark.methods._stepwise", "nothing of it changed"
    assert not [name for name in sys.modules if name.split(".")[0] == "methods"], "nobody else finds them"


def test_another_librarys_datasets_comes_first(folder: Path) -> None:
    (folder / "datasets").mkdir()
    (folder / "datasets" / "__init__.py").write_text("name = 'another'\n")
    (folder / "datasets" / "mnist.py").write_text("name = 'theirs'\n")
    source = "import datasets\nimport datasets.mnist\nfrom datasets._download import fetch\n"
    with pytest.warns(FutureWarning, match=r"benchmark\.datasets\._download"):
        module = load(folder, source)
    assert module.datasets.name == "another"  # type: ignore[attr-defined]
    assert module.datasets.mnist.name == "theirs"  # type: ignore[attr-defined]


def test_what_never_was_there_is_an_import_error(folder: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"methods\._nothing"):
        load(folder, "import methods._nothing\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(folder, "import json\n")


def test_a_checkout_has_no_top_level_packages() -> None:
    """Namespace folders at most: any library of that name comes first."""
    code = "import datasets, methods; assert not datasets.__file__ and not methods.__file__"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
