"""Writes the files of a new method, in the checkout or as an installable package of its own."""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from benchmark import registry
from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.registry.sources import package_folder

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 64


def create(name: str, directory: Path | None = None) -> list[Path]:
    """Write a method that runs and conforms as it is, and its test; returns the files, method first.

    Without `directory`, into the checkout's `methods/` and `tests/methods/`; with it, a package there that
    registers through its entry point once installed. Raises InputError for a name that is taken or no valid
    one, and for a file that is already there; nothing is overwritten.
    """
    stem = check_name(name)
    files = _package(stem, directory) if directory is not None else _checkout(stem)
    taken = [path for path in files if path.exists()]
    if taken:
        raise InputError(f"{str(taken[0])!r} is already there; choose another name or remove it")
    module = stem if directory is not None else f"benchmark.methods.{stem}"
    words = {
        "@NAME@": name,
        "@STEM@": stem,
        "@MODULE@": module,
        "@CLASS@": "".join(part[:1].upper() + part[1:] for part in name.split("-")),
        "@TITLE@": name,
        "@YEAR@": str(datetime.now(UTC).year),
    }
    for path, template in files.items():
        text = (
            resources.files("benchmark")
            .joinpath("authoring", "templates", template)
            .read_text(encoding="utf-8")
        )
        for key, value in words.items():
            text = text.replace(key, value)
        _write(path, text)
    registry.refresh()
    return list(files)


def check_name(name: str) -> str:
    """The module name for a method name. Raises InputError when the name is invalid or taken."""
    stem = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(stem):
        raise InputError(
            f"{name!r} is no method name: up to {_LONGEST} lower-case letters, digits and single hyphens, "
            "starting with a letter, and no Python keyword"
        )
    for entry in registry.entries("methods"):
        if name == entry.name or stem == entry.module.split(".")[-1]:
            raise InputError(f"the method name {name!r} is already taken by {entry.origin}")
    return stem


def _checkout(stem: str) -> dict[Path, str]:
    methods = package_folder("methods")
    tests = methods.parent / "tests" / "methods"
    if not tests.is_dir():
        raise InputError(
            f"{str(methods.parent)!r} is no checkout (it has no tests/methods/); give --directory"
        )
    return {methods / f"{stem}.py": "method.py.txt", tests / f"test_{stem}.py": "test_method.py.txt"}


def _package(stem: str, directory: Path) -> dict[Path, str]:
    if importlib.util.find_spec(stem) is not None:
        raise InputError(f"a module named {stem!r} is already installed; choose another name")
    return {
        directory / f"{stem}.py": "method.py.txt",
        directory / f"test_{stem}.py": "test_method.py.txt",
        directory / "pyproject.toml": "pyproject.toml.txt",
    }


def _write(path: Path, text: str) -> None:
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
