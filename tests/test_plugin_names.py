"""The harness names no method and no data set: what it needs of one is declared, derived or in a data file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmark
from benchmark import registry

ROOT = Path(benchmark.__file__).parent
#: Plug-ins' names that are words of English or of a library: they count only as a whole text.
WORDS = {"digits", "cross-entropy"}
#: File -> the names that it may say, and why it must.
ALLOWED = {
    "spec/sweep.py": {"coophash", "hashnet", "digits"},  # what `run` runs when nothing is said
    "cli/tune.py": {"digits"},  # the same of `tune`
    "cli/describe.py": {"cifar10"},  # the same of `describe`
    "report/claims/judge.py": {
        "coophash",
        "coophash-vectors",
    },  # the paper whose claims are judged is about it
    "report/claims/paper.py": {"coophash"},  # the paper's statements in words
}


def _texts(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """The identifiers of a file, and its texts that are no docstring: each, and whether it is a text."""
    docs = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docs |= {id(one.value) for one in node.body[:1] if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value.casefold(), True
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value.casefold().strip("_").replace("_", "-"), False


def named(text: str, names: set[str]) -> set[str]:
    """The plug-ins that a file's code says by name, as whole words in any case."""
    found = set()
    for said, whole in _texts(ast.parse(text)):
        words = {*re.findall(r"[a-z0-9_]+(?:-[a-z0-9]+)*", said)} - WORDS
        found |= names & (words | {said} if whole else words)
    return found


@pytest.fixture(scope="module")
def names() -> set[str]:
    return {entry.name for kind in ("methods", "datasets") for entry in registry.entries(kind)}


def test_the_harness_names_no_plugin(names: set[str]) -> None:
    said = {
        path.relative_to(ROOT).as_posix(): named(path.read_text(encoding="utf-8"), names)
        for path in ROOT.rglob("*.py")
    }
    assert {file: found - ALLOWED.get(file, set()) for file, found in said.items() if found} == {
        file: set() for file in ALLOWED
    }


def test_what_names_a_plugin_is_found() -> None:
    names = {"hashnet", "cifar10", "digits", "sh"}
    assert named('TABLE = {"hashnet": 1}', names) == {"hashnet"}
    assert named('needs = f"codes of HashNet on {x}"', names) == {"hashnet"}
    assert named("_CIFAR10 = 1\ndef f(): return cifar10", names) == {"cifar10"}
    assert named('run("digits")', names) == {"digits"}
    assert (
        named('"""hashnet"""\nx = "lower-case digits of hashnet-2" + shell.sh1 + "cifar10-59k"', names)
        == set()
    )
