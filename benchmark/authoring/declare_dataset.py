"""Writes the declaration of a user's own data set, checked before it appears."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from benchmark import registry
from benchmark.contracts import DatasetInfo, Decoded, HashDataset, ImageDataset, ImageFiles
from benchmark.data import decode, protocol
from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.spec import NAME_PATTERN

#: Keys that hold a path, relative to the working folder as given and to the data folder as written.
_FILES = ("folder", "table", "images")
_PARTS = ("query", "train", "database")
#: What only a table has.
_COLUMNS = ("path", "labels", "part")


@dataclass(frozen=True)
class Declared:
    """What a new declaration describes. labels: uint8 (n, classes); parts and facts as in `Decoded`."""

    file: Path
    info: DatasetInfo
    labels: np.ndarray
    parts: Mapping[str, np.ndarray] | None
    facts: Mapping[str, str | int]


def declare(name: str, given: Mapping[str, Any], root: Path) -> Declared:
    """Write `<root>/<name>.toml` from what the command line gave; returns it with what it describes.

    Lists, tables and folders are read and every image must be there; pixels are not decoded. Vectors are all read.
    Raises InputError for a taken or malformed name, unknown columns, malformed lists, missing images, and vectors
    that are not finite; nothing stays behind then.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        near = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:64]
        such = f", such as {near}" if re.fullmatch(NAME_PATTERN, near) else ""
        raise InputError(f"data set name {name!r}: use lower-case letters, digits and hyphens{such}")
    if name in {entry.name for entry in registry.entries("datasets", root)}:
        raise InputError(f"data set {name!r} exists already; see `list datasets`, or remove its file first")
    keys = _keys(given, root)
    if keys.get("protocol") == "default":
        del keys["protocol"]
    if "protocol" in keys:
        protocol.find(keys["protocol"])
    existed = root.is_dir()
    file = root.absolute() / f"{name}.toml"
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Checked at its own depth: relative paths in it are relative to the data folder.
        dataset, found = _checked(name, keys, file)
        if "protocol" in keys:
            check_draw(dataset.info, found)
        elif dataset.info.labelled and dataset.info.default_protocol != "lists":
            keys["protocol"] = _protocol(dataset.info, found.labels)
            dataset = registry.from_declaration(file, keys)
        write_file(file, tomli_w.dumps(keys).encode())
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be written: {error.strerror or error}") from error
    finally:
        if not existed and root.is_dir() and not any(root.iterdir()):
            root.rmdir()
    return Declared(file, dataset.info, found.labels, found.parts, found.facts)


def check_draw(info: DatasetInfo, found: Declared | ImageFiles | Decoded) -> None:
    """Raise InputError where the set's default protocol cannot be drawn: unknown, too few images, overlaps."""
    rule = protocol.resolve("default", info)
    protocol.draw(rule, info, found.labels, 0, parts=found.parts)


def _checked(name: str, keys: Mapping[str, Any], file: Path) -> tuple[HashDataset, ImageFiles | Decoded]:
    dataset = registry.from_declaration(file, keys)
    if not isinstance(dataset, ImageDataset):
        return dataset, dataset.decode(None)
    files = dataset.files(None)
    absent = decode.missing(files)
    if absent:
        raise decode.refuse(name, absent, len(files.paths))
    return dataset, files


def _protocol(info: DatasetInfo, labels: np.ndarray) -> str:
    """A default protocol that the number of images allows."""
    smallest, n = int(labels.sum(axis=0).min()), len(labels)
    if not info.multi_label and smallest >= 600:
        return "balanced-100-500"
    if not info.multi_label and smallest >= 70:
        return "balanced-20-50"
    query, train = max(1, n // 10), max(1, n // 2)
    if info.multi_label:
        return "multi-100-400" if n >= 600 else f"custom-q{query}-t{train}-random-all-but-query-kall"
    sizes = labels.sum(axis=0)
    smallest = int(sizes[sizes > 1].min(initial=n))  # an only image cannot be query and answer
    query = max(query, min(-(-n // smallest), n // 2))  # one of every class, where half the images allow it
    return f"custom-q{query}-t{max(1, min(train, n - query))}-stratified-all-but-query-kall"


def _keys(given: Mapping[str, Any], root: Path) -> dict[str, Any]:
    keys = dict(given)
    if keys.get("features"):
        return _vector_keys(keys, root)
    for key in ("images", "table", *_PARTS):  # a list may be named as it lies in the folder
        inside = Path(keys.get("folder", "")) / keys.get(key, "")
        if key in keys and "folder" in keys and not Path(keys[key]).exists() and inside.is_file():
            keys[key] = str(inside)
    if keys.get("table"):
        keys["kind"] = "table"
    elif keys.get("images") or any(Path(keys[part]).is_file() for part in _PARTS if part in keys):
        keys["kind"] = "lists"
    elif keys.get("folder"):
        keys["kind"] = "folder"
    else:
        raise InputError(
            "give --folder (class folders), --query/--train/--database or --images (lists), --table, or --features"
        )
    _check_meaning(keys)
    paths = [*_FILES, *(_PARTS if keys["kind"] == "lists" else ())]
    for key in paths:
        if key in keys:
            keys[key] = _from_root(Path(keys[key]), root, key)
    if "folder" not in keys:  # images lie beside the list or the table
        beside = next(keys[key] for key in (*_FILES, *_PARTS) if key in keys)
        keys["folder"] = Path(beside).parent.as_posix()
    if "labels" in keys:
        keys["labels"] = [part.strip() for part in str(keys["labels"]).split(",") if part.strip()]
    if "channels" in keys:
        keys["channels"] = int(keys["channels"])
    if "size" in keys:
        keys["size"] = _size(str(keys["size"]))
    return {"kind": keys.pop("kind"), **keys}


def _check_meaning(keys: Mapping[str, Any]) -> None:
    """Raise InputError for an option that the kind of data set has no use for: it would be left out in silence."""
    others = {"folder": _COLUMNS, "lists": _COLUMNS, "table": ("images", *_PARTS)}
    vectors = ("key", "labels_key", "split", "split_key")
    if idle := [f"--{key.replace('_', '-')}" for key in (*others[keys["kind"]], *vectors) if key in keys]:
        given = {"folder": "class folders", "lists": "list files", "table": "a table"}[keys["kind"]]
        raise InputError(
            f"{', '.join(idle)} means nothing for {given}; leave it out, or see dataset add --help"
        )


def _vector_keys(keys: dict[str, Any], root: Path) -> dict[str, Any]:
    """The keys of a declaration of vectors. Raises InputError for one that only images have."""
    allowed = ("features", "key", "labels", "labels_key", "split", "split_key", "title", "epochs", "protocol")
    for key in keys:
        if key not in allowed:
            raise InputError(
                f"--{key} does not go with --features; allowed: {', '.join(allowed).replace('_', '-')}"
            )
    files: dict[str, Any] = {
        key: _from_root(Path(keys[key]), root, key) for key in ("features", "labels", "split") if key in keys
    }
    return {"kind": "vectors", **keys, **files}


def _from_root(path: Path, root: Path, key: str) -> str:
    if not path.exists():
        raise InputError(f"--{key} {str(path)!r}: no such file or folder")
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _size(text: str) -> int | list[int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) < 10 for side in sides):
        raise InputError(f"--size {text!r}: give pixels, such as 64 or 48x64 (height x width)")
    return int(sides[0]) if len(sides) == 1 else [int(side) for side in sides]
