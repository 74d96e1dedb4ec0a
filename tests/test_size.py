"""How long a file and a function of the harness may be: what is longer is two things, and hard to read."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

import benchmark

ROOT = Path(benchmark.__file__).parent
#: All lines of a file, docstrings and blank ones too; a function's without docstrings, comments and blank lines.
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _docstrings(tree: ast.AST) -> set[int]:
    """The lines of every docstring."""
    lines = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS)) and ast.get_docstring(node) is not None:
            lines |= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    return lines


def too_long(text: str) -> list[str]:
    """What of a file is longer than allowed: `file: 301 lines`, `function: 51 lines`."""
    tree = ast.parse(text)
    words, code = _docstrings(tree), set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE and token.string:
            code |= {*range(token.start[0], token.end[0] + 1)}
    code -= words
    sizes = [("file", len(text.splitlines()), LONGEST_FILE)]
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            lines = code & {*range(node.lineno, (node.end_lineno or 0) + 1)}
            sizes.append((node.name, len(lines), LONGEST_FUNCTION))
    return [f"{name}: {size} lines" for name, size, most in sizes if size > most]


@pytest.mark.parametrize("room", sorted({path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py")}))
def test_no_file_and_no_function_is_too_long(room: str) -> None:
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix(): too_long(path.read_text(encoding="utf-8")) for path in files}
    assert {name: long for name, long in found.items() if long} == {}


def test_what_is_too_long_is_found_and_prose_counts_in_files_alone() -> None:
    body = '    """Docs,\n\n    over four\n    lines."""\n    # a comment\n\n' + "    x = 1\n" * 49
    assert too_long(f"def f():\n{body}") == []
    assert too_long(f"class C:\n  def f():\n{body}    return x\n") == ["f: 51 lines"]
    assert too_long("x = 1\n" * 300) == []
    assert too_long('"""Docs."""\n' + "x = 1\n" * 300) == ["file: 301 lines"]
    assert too_long("x = 1\n\n# a comment\n" * 101) == ["file: 303 lines"]
