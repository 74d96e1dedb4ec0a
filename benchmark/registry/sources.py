"""Where plug-ins' sources lie, and a digest of the code of one."""

from __future__ import annotations

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
    return [f"benchmark.{kind}.{stem}" for stem in sorted(stems) if not stem.startswith("_")]
