"""Data sets that a user declares: TOML files directly in the data folder, listed beside the plug-ins."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.contracts import HashDataset
from benchmark.data.decode import Stamp, stamp
from benchmark.data.shelf import FileShelf
from benchmark.errors import InputError
from benchmark.files.places import cache_root, data_root
from benchmark.registry.digests import plugin_digest
from benchmark.registry.entry import Entry
from benchmark.spec import NAME_PATTERN, digest, read_toml

#: What reads a declaration; a module of `datasets`, like any other data set's.
_MODULE, _OPEN = "benchmark.datasets._declared", "open_declaration"


def declared(root: Path | None, taken: Iterable[str]) -> list[Entry]:
    """The declarations in the data folder (None: the usual one), broken ones with their reason.

    `taken`: names of plug-ins, which a declaration cannot take over.
    """
    folder = data_root(root)
    if folder is None or not folder.is_dir():
        return []
    found = []
    for file in sorted(folder.glob("*.toml")):
        try:
            entry = _entry(file.absolute(), _stamps(file))
        except FileNotFoundError:  # it went away
            continue
        if entry.name in set(taken):
            entry = replace(
                entry, info={}, error=f"the name {entry.name!r} is already taken by a data set here"
            )
        found.append(entry)
    return found


def open_declared(entry: Entry) -> HashDataset:
    """The data set that a declaration describes. Raises InputError naming the file and what is wrong with it."""
    file = Path(entry.declaration)
    return _opened(file, _stamps(file))


def from_declaration(file: Path, keys: Mapping[str, Any]) -> HashDataset:
    """The data set that a file with these keys would declare. Raises InputError for what is wrong with them."""
    found: HashDataset = _reader()(file, keys, _shelf(file))
    return found


@functools.lru_cache(maxsize=256)
def _opened(file: Path, stamps: tuple[tuple[str, Stamp], ...]) -> HashDataset:  # stamps only key the cache
    found: HashDataset = _reader()(file, None, _shelf(file))
    return found


def _shelf(file: Path) -> FileShelf:
    """Where a declaration's list or table is kept as it was read; what other code read is not believed."""
    name = f"{file.stem}-{digest(os.path.abspath(file))}.listing"
    return FileShelf(cache_root() / "sources" / name, lambda: plugin_digest(_MODULE))


@functools.lru_cache(maxsize=256)
def _entry(file: Path, stamps: tuple[tuple[str, Stamp], ...]) -> Entry:  # stamps only key the cache
    common: dict[str, Any] = {
        "kind": "datasets",
        "name": file.stem,
        "module": _MODULE,
        "qualname": _OPEN,
        "origin": file.name,
        "declaration": str(file),
    }
    if not re.fullmatch(NAME_PATTERN, file.stem):
        return Entry(**common, error="a data set's name has lower-case letters, digits and hyphens only")
    try:
        return Entry(**common, info=_opened(file, stamps).info.model_dump(mode="json"))
    except InputError as error:
        return Entry(**common, error=str(error))


def _stamps(file: Path) -> tuple[tuple[str, Stamp], ...]:
    """Stamps of a declaration and of the files and folders it names: what its facts depend on."""
    named = [file]
    with contextlib.suppress(ValueError, RecursionError):  # reading it properly will say what is wrong
        values = read_toml(file).values()
        named += [file.parent / value for value in values if isinstance(value, str) and value]
    return tuple((str(path), stamp(path)) for path in named)


def _reader() -> Any:
    return getattr(importlib.import_module(_MODULE), _OPEN)
