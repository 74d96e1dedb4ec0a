"""Finds methods and data sets: files in `methods/` and `datasets/`, and installed packages' entry points.

Listing must not import torch, so what a scan finds is kept in an index under a digest of every source it
read; a changed file, package or interpreter makes a new scan. A plug-in that fails to import, lacks its
facts, or takes a taken name is listed with the reason and never stops the others.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.contracts import HashDataset, HashMethod, Params, Task
from benchmark.errors import InputError, one_line, unknown
from benchmark.registry.catalogue import catalogue, refresh
from benchmark.registry.contained import contained
from benchmark.registry.declared import declared, from_declaration, open_declared
from benchmark.registry.entry import GROUPS, KINDS, NOUN, Entry, Kind
from benchmark.registry.former_names import former_names
from benchmark.spec import parse
from benchmark.store.record import Record

__all__ = [
    "GROUPS",
    "KINDS",
    "NOUN",
    "Entry",
    "Kind",
    "backbone_features",
    "check_backbone",
    "check_weights",
    "dataset",
    "entries",
    "find",
    "from_declaration",
    "is_current",
    "method_class",
    "method_params",
    "names",
    "refresh",
    "stale_fits",
    "unsupported",
]


def entries(kind: Kind, root: Path | None = None) -> list[Entry]:
    """Every plug-in of a kind, broken ones included, sorted by name.

    Data sets include those declared in the data folder `root` (None: BENCHMARK_DATA, or `data`).
    """
    found = [entry for entry in catalogue() if entry.kind == kind]
    if kind == "datasets":
        found = _sharing([*found, *declared(root, [entry.name for entry in found])])
    return sorted(found, key=lambda entry: (entry.name, bool(entry.error)))


def _sharing(found: list[Entry]) -> list[Entry]:
    """Data sets that share another one's draws share its published confusions: one noise for all of them."""
    published = {one.name: told for one in found if not one.error and (told := one.info.get("confusions"))}
    return [
        replace(one, info={**one.info, "confusions": published[key]})
        if (key := one.info.get("split_key")) in published and not one.info["confusions"]
        else one
        for one in found
    ]


def names(kind: Kind, root: Path | None = None) -> list[str]:
    """The usable names of a kind."""
    return [entry.name for entry in entries(kind, root) if not entry.error]


def find(kind: Kind, name: str, root: Path | None = None) -> Entry:
    """The entry of a name. Raises InputError when it is unknown (with suggestions) or cannot be used."""
    found = [entry for entry in entries(kind, root) if entry.name == name]
    usable = [entry for entry in found if not entry.error]
    if usable:
        return usable[0]
    if found:
        error = InputError(f"{NOUN[kind]} {name!r} ({found[0].origin}) cannot be used: {found[0].error}")
        error.trace = found[0].trace
        raise error
    raise unknown(NOUN[kind], name, names(kind, root))


def is_current(method: str, digest: str) -> bool:
    """Whether a record with this source digest was made by the code that the method has now.

    True for a method that is not installed here: nothing else is known of it.
    """
    usable = (entry for entry in catalogue() if entry.kind == "methods" and not entry.error)
    entry = next((entry for entry in usable if entry.name == method), None)
    return entry is None or entry.is_current(digest)


def method_class(name: str) -> type[HashMethod]:
    """Import a method's class (a variant's base class)."""
    cls: type[HashMethod] = _load(find("methods", name), HashMethod)
    return cls


def unsupported(name: str, task: Task) -> str:
    """Why a method cannot run a task, in its own words; empty when it can. A `supports` that fails is a reason."""
    cls = method_class(name)
    try:
        with contained():
            reason = cls.supports(task)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may do anything
        return f"its supports() raised {one_line(error)}"
    return " ".join(str(reason).split()) if reason else ""


def method_params(name: str, values: dict[str, Any]) -> Params:
    """A method's parameters from its preset and `values`.

    Raises InputError naming an unknown key (with the nearest valid ones) or a value out of its range.
    """
    entry = find("methods", name)
    cls = method_class(name)
    try:
        with contained():
            found = parse(cls.Params, {**entry.preset, **values}, f"parameter of {name}")
            found.model_dump(mode="json")
            return found
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        reason = one_line(error, 200)
        raise InputError(f"parameters of {name!r} ({entry.origin}) cannot be made: {reason}") from error


def dataset(name: str, root: Path | None = None) -> HashDataset:
    """A data set by its name: imported and instantiated, or as declared in the data folder `root`."""
    entry = find("datasets", name, root)
    found: HashDataset = open_declared(entry) if entry.declaration else _load(entry, HashDataset)()
    confusions = entry.dataset_info.confusions
    if confusions != found.info.confusions:
        found.info = found.info.model_copy(update={"confusions": confusions})  # type: ignore[misc]
    return found


def check_backbone(task: Task) -> None:
    """Raise InputError when the task's backbone is unknown or does not come with the task's weights."""
    importlib.import_module("benchmark.methods._backbones").check_backbone(task)


def backbone_features(task: Task) -> int:
    """How many features the task's backbone gives an image; nothing is trained, loaded or downloaded for it."""
    found: int = importlib.import_module("benchmark.methods._backbones").features_of(task)
    return found


def check_weights(task: Task) -> None:
    """Raise InputError when the task's weights file cannot be read, holds more than tensors, or does not fit."""
    try:
        with warnings.catch_warnings():  # torch also warns about a pickle that it goes on to refuse
            warnings.simplefilter("ignore")
            importlib.import_module("benchmark.methods._backbones").build_backbone(task)
    except InputError as error:
        if "weights_only" not in str(error):
            raise
        text = f"weights file {task.weights!r} holds more than tensors, or is damaged; it is not loaded"
        raise InputError(text) from error  # torch's own words advise to load it all the same


def _load(entry: Entry, base: type) -> Any:
    if entry.kind == "methods":  # or its first import, by the method, would hide what the method sets
        importlib.import_module("torch")
    try:
        with former_names(entry.origin), contained(importing=True):
            module = importlib.import_module(entry.module)
        loaded = functools.reduce(getattr, entry.qualname.split("."), module)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{NOUN[entry.kind]} {entry.name!r} ({entry.origin}) cannot be imported: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InputError(f"{NOUN[entry.kind]} {entry.name!r} ({entry.origin}) is no {base.__name__}")
    return loaded


def stale_fits(records: Iterable[Record]) -> set[str]:
    """Ids of the fits whose method's source has changed since. A method that is not installed here cannot be
    compared, so its fits are not called stale.
    """
    return {r.fit_id for r in records if not is_current(r.spec.method, r.source_digest)}
