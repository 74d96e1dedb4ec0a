"""Where plug-ins' sources lie, and a digest of the code of one."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
from pathlib import Path

from benchmark.registry.entry import GROUPS, Kind


def tree(folder: Path) -> list[Path]:
    """Every Python file below a folder, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def package_folder(kind: Kind) -> Path:
    """The folder of the project's own plug-ins of a kind."""
    return Path(next(iter(importlib.import_module(f"benchmark.{kind}").__path__)))


def entry_points(kind: Kind) -> list[importlib.metadata.EntryPoint]:
    """What installed packages register as plug-ins of a kind, sorted."""
    return sorted(
        importlib.metadata.entry_points(group=GROUPS[kind]), key=lambda point: (point.name, point.value)
    )


def entry_point_sources(point: importlib.metadata.EntryPoint) -> list[Path]:
    """The source files of the package that an entry point names, found without importing it."""
    try:
        spec = importlib.util.find_spec(point.module.split(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [path for folder in spec.submodule_search_locations for path in tree(Path(folder))]
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


def module_names(kind: Kind) -> list[str]:
    """The modules of the project's own plug-ins of a kind; names that begin with `_` are shared code."""
    folder = package_folder(kind)
    stems = [path.stem for path in folder.glob("*.py")]
    stems += [path.parent.name for path in folder.glob("*/__init__.py")]
    return [f"{kind}.{stem}" for stem in sorted(stems) if not stem.startswith("_")]


def plugin_digest(module: str) -> str:
    """SHA-256 over a plug-in's code and the shared files of its package that it imports.

    Comments, docstrings and layout are left out: they change no number.
    """
    seen: dict[str, bytes] = {}
    _follow(module if module.count(".") < 2 else ".".join(module.split(".")[:2]), seen)
    hasher = hashlib.sha256()
    for name in sorted(seen):
        hasher.update(name.encode() + seen[name])
    return hasher.hexdigest()[:16]


def _follow(module: str, seen: dict[str, bytes]) -> None:
    spec = importlib.util.find_spec(module) if module not in seen else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    seen[module], imports = _parsed(Path(spec.origin).read_text(encoding="utf-8"))
    top = module.split(".")[0]
    for name, parts in imports:
        if name.split(".")[0] == top:
            _follow(name, seen)
            for part in parts:  # `from package import module`
                if importlib.util.find_spec(name).submodule_search_locations:  # type: ignore[union-attr]
                    candidate = f"{name}.{part}"
                    if importlib.util.find_spec(candidate) is not None:
                        _follow(candidate, seen)


@functools.lru_cache(maxsize=1024)  # plug-ins share most of their files, and a scan reads every one's
def _parsed(source: str) -> tuple[bytes, tuple[tuple[str, tuple[str, ...]], ...]]:
    """The code of a file as bytes, and what its `from ... import ...` name."""
    tree = ast.parse(source)
    imports = tuple(
        (node.module, tuple(alias.name for alias in node.names))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    )
    return ast.dump(_bare(tree)).encode(), imports


def _bare(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree
