"""Finds methods and data sets: files in `methods/` and `datasets/`, and installed packages' entry points.

Listing must not import torch, so what a scan finds is kept in an index under a digest of every source it
read; a changed file, package or interpreter makes a new scan. A plug-in that fails to import, lacks its
facts, or takes a taken name is listed with the reason and never stops the others.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import benchmark
from benchmark.contracts import DatasetInfo, HashDataset, HashMethod, MethodInfo, Params, Task
from benchmark.datastore import cache_root
from benchmark.errors import InputError, unknown
from benchmark.spec import canonical_json

Kind = Literal["methods", "datasets"]
KINDS: tuple[Kind, ...] = ("methods", "datasets")
NOUN: dict[Kind, str] = {"methods": "method", "datasets": "data set"}
#: Entry-point groups that installed packages register under.
GROUPS: dict[Kind, str] = {kind: f"coophash_benchmark.{kind}" for kind in KINDS}
_BASE: dict[Kind, type] = {"methods": HashMethod, "datasets": HashDataset}


@dataclass(frozen=True)
class Entry:
    """One plug-in as the index knows it; `error` is why it cannot be used, and then little else is known.

    `preset` holds a variant's parameters; `defaults` every parameter with its default; `digest` covers the
    plug-in's file (or package) and the shared files that it imports.
    """

    kind: Kind
    name: str
    module: str
    qualname: str
    origin: str
    info: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    error: str = ""

    @property
    def method_info(self) -> MethodInfo:
        """The entry's facts as a method."""
        return MethodInfo.model_validate(self.info)

    @property
    def dataset_info(self) -> DatasetInfo:
        """The entry's facts as a data set."""
        return DatasetInfo.model_validate(self.info)


def entries(kind: Kind) -> list[Entry]:
    """Every plug-in of a kind, broken ones included, sorted by name."""
    return [entry for entry in _index() if entry.kind == kind]


def names(kind: Kind) -> list[str]:
    """The usable names of a kind."""
    return [entry.name for entry in entries(kind) if not entry.error]


def find(kind: Kind, name: str) -> Entry:
    """The entry of a name. Raises InputError when it is unknown (with suggestions) or cannot be used."""
    found = [entry for entry in entries(kind) if entry.name == name]
    usable = [entry for entry in found if not entry.error]
    if usable:
        return usable[0]
    if found:
        raise InputError(f"{NOUN[kind]} {name!r} ({found[0].origin}) cannot be used: {found[0].error}")
    raise unknown(NOUN[kind], name, names(kind))


def method_class(name: str) -> type[HashMethod]:
    """Import a method's class (a variant's base class)."""
    cls: type[HashMethod] = _load(find("methods", name), HashMethod)
    return cls


def method_params(name: str, values: dict[str, Any]) -> Params:
    """A method's parameters from its preset and `values`.

    Raises InputError naming an unknown key (with the nearest valid ones) or a value out of its range.
    """
    from benchmark.spec import parse

    entry = find("methods", name)
    return parse(method_class(name).Params, {**entry.preset, **values}, f"parameter of {name}")


def dataset(name: str) -> HashDataset:
    """Import and instantiate a data set."""
    found: HashDataset = _load(find("datasets", name), HashDataset)()
    return found


def check_backbone(task: Task) -> None:
    """Raise InputError when the task's backbone is unknown or does not come with the task's weights."""
    importlib.import_module("methods._backbones").check_backbone(task)


def check_weights(path: Path) -> None:
    """Raise InputError when a weights file cannot be read, or holds more than tensors."""
    importlib.import_module("methods._backbones").read_weights(path)


def _load(entry: Entry, base: type) -> Any:
    try:
        loaded = functools.reduce(getattr, entry.qualname.split("."), importlib.import_module(entry.module))
    except Exception as error:
        raise InputError(
            f"{NOUN[entry.kind]} {entry.name!r} ({entry.origin}) cannot be imported: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InputError(f"{NOUN[entry.kind]} {entry.name!r} ({entry.origin}) is no {base.__name__}")
    return loaded


# ---- the index ---------------------------------------------------------------------------------


@functools.cache
def _index() -> tuple[Entry, ...]:
    path = cache_root() / "index" / f"{_sources_digest()}.json"
    try:
        return tuple(Entry(**row) for row in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        pass
    found = _scan()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps([asdict(entry) for entry in found]))
        scratch.replace(path)
    except OSError:
        pass  # a read-only home only makes the next listing slower
    return found


def refresh() -> None:
    """Forget the index held by this process, so that the next look-up reads the sources again."""
    _index.cache_clear()


def _sources_digest() -> str:
    """A digest of everything a scan depends on: sources, entry points, interpreter, installed packages."""
    hasher = hashlib.sha256(sys.version.encode())
    for key in ("purelib", "platlib"):  # its time changes when a package is installed or removed
        folder = Path(sysconfig.get_paths()[key])
        hasher.update(str(folder.stat().st_mtime_ns if folder.exists() else 0).encode())
    for path in sorted({*_tree(Path(benchmark.__file__).parent, ("contracts.py", "spec.py", "registry.py"))}):
        hasher.update(_content(path))
    for kind in KINDS:
        for path in _tree(_package_folder(kind)):
            hasher.update(path.name.encode() + _content(path))
        for point in _entry_points(kind):
            hasher.update(f"{point.name}={point.value}".encode())
            for path in _entry_point_sources(point):
                hasher.update(str(path).encode() + _content(path))
    return hasher.hexdigest()[:24]


def _content(path: Path) -> bytes:
    """A source file's bytes; nothing for one that went away since it was listed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _tree(folder: Path, only: tuple[str, ...] = ()) -> Iterator[Path]:
    if only:
        yield from (folder / name for name in only)
    else:
        yield from sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _package_folder(kind: Kind) -> Path:
    return Path(str(importlib.import_module(kind).__file__)).parent


def _entry_points(kind: Kind) -> list[importlib.metadata.EntryPoint]:
    return sorted(
        importlib.metadata.entry_points(group=GROUPS[kind]), key=lambda point: (point.name, point.value)
    )


def _entry_point_sources(point: importlib.metadata.EntryPoint) -> list[Path]:
    """The source files of the package that an entry point names, found without importing it."""
    try:
        spec = importlib.util.find_spec(point.module.split(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [path for folder in spec.submodule_search_locations for path in _tree(Path(folder))]
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


# ---- the scan ----------------------------------------------------------------------------------


def _scan() -> tuple[Entry, ...]:
    found: list[Entry] = []
    for kind in KINDS:
        for module in _module_names(kind):
            found += _scan_module(kind, module, module.replace(".", "/") + ".py")
        for point in _entry_points(kind):
            package = point.dist.name if point.dist else point.module
            found += _scan_module(kind, point.module, f"package {package}", point.attr)
    return tuple(
        sorted(_refuse_duplicates(found), key=lambda entry: (entry.kind, entry.name, bool(entry.error)))
    )


def _module_names(kind: Kind) -> list[str]:
    folder = _package_folder(kind)
    stems = [path.stem for path in folder.glob("*.py")]
    stems += [path.parent.name for path in folder.glob("*/__init__.py")]
    return [f"{kind}.{stem}" for stem in sorted(stems) if not stem.startswith("_")]


def _scan_module(kind: Kind, name: str, origin: str, attribute: str = "") -> list[Entry]:
    broken = Entry(kind, name.split(".")[-1].replace("_", "-"), name, "", origin)
    try:
        module = importlib.import_module(name)
        classes = list(_classes(kind, module, attribute))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may fail in any way; listed
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return [Entry(**{**asdict(broken), "error": reason})]
    if not classes:
        return [Entry(**{**asdict(broken), "error": f"it defines no {_BASE[kind].__name__} subclass"})]
    try:
        return [entry for cls in classes for entry in _describe(kind, cls, module, origin)]
    except OSError as error:  # the file went away while it was being read
        return [Entry(**{**asdict(broken), "error": f"its source cannot be read: {error}"})]


def _classes(kind: Kind, module: ModuleType, attribute: str) -> Iterator[Any]:
    base = _BASE[kind]
    if attribute:
        yield functools.reduce(getattr, attribute.split("."), module)
        return
    for value in vars(module).values():
        own = isinstance(value, type) and issubclass(value, base) and value is not base
        if own and (
            value.__module__ == module.__name__ or value.__module__.startswith(module.__name__ + ".")
        ):
            helper = value.__name__.startswith("_") or (
                inspect.isabstract(value) and "info" not in vars(value)
            )
            if not helper:
                yield value


def _describe(kind: Kind, cls: type, module: ModuleType, origin: str) -> list[Entry]:
    info = getattr(cls, "info", None)
    fallback = module.__name__.split(".")[-1].replace("_", "-")
    name = getattr(info, "name", fallback)
    common: dict[str, Any] = {
        "kind": kind,
        "module": cls.__module__,
        "qualname": cls.__qualname__,
        "origin": origin,
    }
    reason = _incompatibility(kind, cls)
    if reason:
        return [Entry(name=name, error=reason, **common)]
    common["digest"] = _plugin_digest(cls.__module__)
    facts = info.model_dump(mode="json") if info is not None else {}
    if kind == "datasets":
        return [Entry(name=name, info=facts, **common)]
    found = []
    for variant in (None, *cls.variants):  # type: ignore[attr-defined]
        preset = dict(variant.params) if variant else {}
        own = facts | ({"name": variant.name, "title": variant.title} if variant else {})
        try:
            defaults = cls.Params(**preset).model_dump(mode="json")  # type: ignore[attr-defined]
            canonical_json(defaults)
        except (ValueError, TypeError) as error:
            reason = f"its default parameters are invalid: {str(error).splitlines()[0]}"
            found.append(Entry(name=own["name"], error=reason, **common))
            continue
        found.append(Entry(name=own["name"], info=own, preset=preset, defaults=defaults, **common))
    return found


def _incompatibility(kind: Kind, cls: type) -> str:
    """Why a class cannot be used, or an empty string."""
    if not (isinstance(cls, type) and issubclass(cls, _BASE[kind])):
        return f"{cls!r} is no {_BASE[kind].__name__} subclass"
    wanted = MethodInfo if kind == "methods" else DatasetInfo
    if not isinstance(getattr(cls, "info", None), wanted):
        return f"{cls.__name__} has no `info` of type {wanted.__name__}"
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        return f"{cls.__name__} does not define {', '.join(missing)}"
    if kind == "methods" and not issubclass(cls.Params, Params):  # type: ignore[attr-defined]
        return f"{cls.__name__}.Params is no subclass of benchmark.contracts.Params"
    return ""


def _refuse_duplicates(found: list[Entry]) -> list[Entry]:
    owner: dict[tuple[str, str], Entry] = {}
    kept = []
    for entry in found:  # files of the project come first, so a package cannot take their names over
        key = (entry.kind, entry.name)
        first = owner.setdefault(key, entry) if not entry.error else entry
        if first is not entry:
            taken = f"the name {entry.name!r} is already taken by {first.origin}"
            entry = Entry(**{**asdict(entry), "error": taken})
        kept.append(entry)
    return kept


def _plugin_digest(module: str) -> str:
    """SHA-256 over a plug-in's code and the shared files of its package that it imports.

    Comments, docstrings and layout are left out: they change no number.
    """
    seen: dict[str, ast.Module] = {}
    _follow(module if module.count(".") < 2 else ".".join(module.split(".")[:2]), seen)
    hasher = hashlib.sha256()
    for name in sorted(seen):
        hasher.update(name.encode() + ast.dump(_without_docstrings(seen[name])).encode())
    return hasher.hexdigest()[:16]


def _follow(module: str, seen: dict[str, ast.Module]) -> None:
    spec = importlib.util.find_spec(module) if module not in seen else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    seen[module] = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    top = module.split(".")[0]
    for node in ast.walk(seen[module]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == top:
            _follow(node.module, seen)
            for alias in node.names:  # `from package import module`
                if importlib.util.find_spec(node.module).submodule_search_locations:  # type: ignore[union-attr]
                    candidate = f"{node.module}.{alias.name}"
                    if importlib.util.find_spec(candidate) is not None:
                        _follow(candidate, seen)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree
