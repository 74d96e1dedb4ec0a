"""Imports every plug-in once and describes it."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

from benchmark.contracts import DatasetInfo, MethodInfo, Params
from benchmark.errors import one_line, trace_of
from benchmark.registry.contained import contained
from benchmark.registry.digests import former_digests, plugin_digest
from benchmark.registry.entry import BASE, KINDS, Entry, Kind
from benchmark.registry.former_names import former_names
from benchmark.registry.sources import entry_points, module_names
from benchmark.spec import canonical_json


def scan() -> tuple[Entry, ...]:
    """Every plug-in of every kind, sorted by kind and name; those that cannot be used say why."""
    found: list[Entry] = []
    for kind in KINDS:
        for module in module_names(kind):
            found += _scan_module(kind, module, module.removeprefix("benchmark.").replace(".", "/") + ".py")
        for point in entry_points(kind):
            package = point.dist.name if point.dist else point.module
            found += _scan_module(kind, point.module, f"package {package}", point.attr)
    return tuple(
        sorted(_refuse_duplicates(found), key=lambda entry: (entry.kind, entry.name, bool(entry.error)))
    )


def _scan_module(kind: Kind, name: str, origin: str, attribute: str = "") -> list[Entry]:
    broken = Entry(kind, name.split(".")[-1].replace("_", "-"), name, "", origin)
    try:
        with former_names(origin), contained(importing=True):
            module = importlib.import_module(name)
        classes = list(_classes(kind, module, attribute))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may fail in any way; listed
        return [replace(broken, error=one_line(error, 1000), trace=trace_of(error))]
    if not classes:
        return [replace(broken, error=f"it defines no {BASE[kind].__name__} subclass")]
    try:
        with contained():
            return [entry for cls in classes for entry in _describe(kind, cls, module, origin)]
    except OSError as error:  # the file went away while it was being read
        return [replace(broken, error=f"its source cannot be read: {error}")]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as at its import
        return [replace(broken, error=f"its facts cannot be read: {one_line(error)}", trace=trace_of(error))]


def _classes(kind: Kind, module: ModuleType, attribute: str) -> Iterator[Any]:
    base = BASE[kind]
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
    common |= {"digest": plugin_digest(cls.__module__), "former": former_digests(cls.__module__)}
    facts = info.model_dump(mode="json") if info is not None else {}
    if kind == "datasets":
        return [Entry(name=name, info=facts, **common)]
    found = []
    for variant in (None, *cls.variants):  # type: ignore[attr-defined]
        preset = dict(variant.params) if variant else {}
        own = facts | (variant.model_dump(mode="json", include={"name", "title", "look"}) if variant else {})
        try:
            defaults = cls.Params(**preset).model_dump(mode="json")  # type: ignore[attr-defined]
            canonical_json(defaults)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it may do anything
            text = str(error).splitlines() or [type(error).__name__]
            known = (
                text[0] if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {text[0]}"
            )
            reason = f"its default parameters are invalid: {known}"
            found.append(Entry(name=own["name"], error=reason, trace=trace_of(error), **common))
            continue
        found.append(Entry(name=own["name"], info=own, preset=preset, defaults=defaults, **common))
    return found


def _incompatibility(kind: Kind, cls: type) -> str:
    """Why a class cannot be used, or an empty string."""
    if not (isinstance(cls, type) and issubclass(cls, BASE[kind])):
        return f"{cls!r} is no {BASE[kind].__name__} subclass"
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
    """Refuse every entry of a name that two of equal standing claim: which of them is meant nobody can tell.

    The project's own files stand above packages, which cannot take their names over.
    """
    claims = dict[tuple[str, str], list[Entry]]()
    for entry in found:
        if not entry.error:
            claims.setdefault((entry.kind, entry.name), []).append(entry)
    return [entry if entry.error else _refused(entry, claims[entry.kind, entry.name]) for entry in found]


def _refused(entry: Entry, claims: list[Entry]) -> Entry:
    """The entry, with an error where another claim to its name stands in the way."""
    same = [one for one in claims if (one.module, one.qualname) == (entry.module, entry.qualname)]
    others = [one for one in claims if one not in same]
    files = [one for one in others if not _packaged(one)]
    equal = [one for one in others if _packaged(one) == _packaged(entry)]
    if _packaged(entry) and files:
        reason = f"the name {entry.name!r} is already taken by {files[0].origin}"
    elif equal:
        places = " and ".join(sorted({entry.origin, *(one.origin for one in equal)}))
        reason = f"the name {entry.name!r} is claimed by {places}; give one of them another name"
    elif same[0] is not entry:
        reason = f"the name {entry.name!r} is already taken by {same[0].origin}"
    else:
        return entry
    return replace(entry, error=reason)


def _packaged(entry: Entry) -> bool:
    return entry.origin.startswith("package ")
