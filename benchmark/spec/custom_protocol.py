"""Custom protocols: a table of numbers and the name that holds them all."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmark.errors import InputError
from benchmark.spec.sweep import read_toml
from benchmark.spec.values import Value, parse


class CustomTable(Value):
    """The keys of a custom protocol's file or `[protocol]` table; they mean what `Protocol` says of them."""

    query: int = Field(ge=1, lt=10**9)
    train: int = Field(ge=1, lt=10**9)
    draw: Literal["per-class", "stratified", "random", "quota"] = "per-class"
    database: Literal["all-but-query", "rest", "train"] = "all-but-query"
    k: int | Literal["all"] = "all"


def custom_name(table: Mapping[str, Any], what: str = "protocol table") -> str:
    """The name that holds all of a custom protocol's numbers. Raises InputError naming a key that is wrong."""
    given = parse(CustomTable, table, what)
    if given.k != "all" and not 1 <= given.k < 10**9:
        raise InputError(f'{what}: k is {given.k}; allowed: 1 or more, or "all"')
    return f"custom-q{given.query}-t{given.train}-{given.draw}-{given.database}-k{given.k}"


def read_custom(path: Path) -> str:
    """The name of the custom protocol in a TOML file: its keys, or its `[protocol]` table.

    Raises InputError when the file cannot be read or a key is wrong.
    """
    what = f"protocol file {str(path)!r}"
    try:
        raw = read_toml(path)
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{what} is no TOML: {error}") from error
    table = raw.get("protocol", raw)
    if not isinstance(table, Mapping):
        raise InputError(f"{what}: `protocol` is no table")
    return custom_name(table, what)
