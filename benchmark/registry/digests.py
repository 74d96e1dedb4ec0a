"""A digest of what a plug-in does: records whose digest is another one are stale.

The rule: SHA-256 over the syntax trees of the plug-in's file (or package) and of every file of its own package
that it imports. Comments, docstrings and layout are left out, and so are the places of imports and the addresses
of those from this project, and a `look` that a `MethodInfo` or `Variant` declares: they change no number. Which
names are imported, and as what, counts. The digest is the same in every version of Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

#: Own packages of plug-ins, whose files are followed; and the addresses that only hand on what lies there.
OWN = ("benchmark.methods", "benchmark.datasets")
_INSIDE = tuple(f"{own}." for own in OWN)
HANDED_ON = ("benchmark.stepwise", "benchmark.losses", "benchmark.shallow")


def plugin_digest(module: str) -> str:
    """The digest of a plug-in, by the module that defines it: 16 hexadecimal digits."""
    seen = _follow(_root(module), _package(module))
    hasher = hashlib.sha256()
    for name in sorted(seen):
        hasher.update(f"{name} {seen[name].text}".encode())
    return hasher.hexdigest()[:16]


def former_digests(module: str) -> tuple[str, ...]:
    """What records made by earlier versions of this project hold for a plug-in that does the same."""
    if module.startswith("benchmark."):
        return tuple(_former().get(plugin_digest(module), ()))
    return (_former_digest(module),)


@functools.cache
def _former() -> dict[str, list[str]]:
    """Digest now -> digests before, of the project's own plug-ins."""
    content = (Path(__file__).parent / "former_digests.json").read_text(encoding="utf-8")
    return dict(json.loads(content))


def _former_digest(module: str) -> str:
    """By the rule that held before, with import lines as they stand. Installed plug-ins import none of ours so."""
    seen = _follow(".".join(module.split(".")[:2]), module.split(".")[0], relative=False)
    hasher = hashlib.sha256()
    for name in sorted(seen):
        hasher.update(name.encode() + seen[name].former.encode())
    return hasher.hexdigest()[:16]


def _package(module: str) -> str:
    """The package whose files count as the plug-in's own."""
    return next((own for own in OWN if module.startswith(f"{own}.")), module.split(".")[0])


def _root(module: str) -> str:
    """The plug-in's file, or the package that it is."""
    depth = _package(module).count(".") + 2
    return ".".join(module.split(".")[:depth])


def _follow(module: str, package: str, *, relative: bool = True) -> dict[str, _Source]:
    """A module and those that it imports from its own package or this project's shared pieces, by name."""
    seen, left = dict[str, _Source](), [module]
    while left:
        name = left.pop()
        spec = _spec(name) if name not in seen else None
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        here = name if spec.submodule_search_locations else name.rpartition(".")[0]
        seen[name] = source = _read(Path(spec.origin).read_text(encoding="utf-8"), here)
        found = [one for one, level in source.imports if relative or not level]
        left += [one for one in found if one == package or one.startswith((f"{package}.", *_INSIDE))]
    return seen


class _Source(NamedTuple):
    """What counts of a file. text, former: by the rule now and before. imports: modules, and whether relative."""

    text: str
    former: str
    imports: tuple[tuple[str, int], ...]


@functools.lru_cache(maxsize=1024)  # plug-ins share most of their files, and a scan reads every one's
def _read(source: str, package: str) -> _Source:
    """package: what relative addresses in the file start from."""
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imports = tuple((one, node.level) for node in nodes for one in _imported(node, package))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("MethodInfo", "Variant"):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "look"]
    former, statements = ast.dump(tree), _Imports(package)
    bare = statements.visit(tree)
    return _Source(f"{sorted(statements.found)} {_text(bare)}", former, imports)


def _imported(node: ast.ImportFrom, package: str) -> list[str]:
    """The modules that a statement may read: its own, those that it names, those that are handed on to it."""
    source = _source(node, package)
    if source in HANDED_ON:
        return [_givers(source).get(alias.name, source) for alias in node.names]
    return [source, *(_now(f"{source}.{alias.name}") for alias in node.names)]


def _source(node: ast.ImportFrom, package: str) -> str:
    source = node.module or ""
    return _now(importlib.util.resolve_name("." * node.level + source, package) if node.level else source)


@functools.cache
def _givers(address: str) -> dict[str, str]:
    spec = importlib.util.find_spec(address)
    assert spec is not None
    assert spec.origin is not None
    nodes = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    statements = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in statements for alias in node.names}


def _now(module: str) -> str:
    """The present address of one of the project's modules that an older plug-in names."""
    return (
        f"benchmark.{module}" if module.split(".")[0] in ("methods", "datasets") and "." in module else module
    )


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


class _Imports(ast.NodeTransformer):
    """Takes import statements out and keeps what they import: the module that defines it, the name, the name here.

    Pieces of the harness, which are no plug-ins, have no module: they may move.
    """

    def __init__(self, package: str) -> None:
        self.package, self.found = package, set[tuple[str, str, str]]()

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {("", alias.name, alias.asname or "") for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = _source(node, self.package)
        givers = _givers(source) if source in HANDED_ON else {}
        for alias in node.names:
            module = givers.get(alias.name, source)
            if module.split(".")[0] == "benchmark" and not module.startswith(_INSIDE):
                module = ""
            self.found.add((module, alias.name, alias.asname or ""))


def _text(node: object) -> str:
    """A syntax tree as text that is the same in every version of Python: what is empty is left out."""
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in fields)})"
