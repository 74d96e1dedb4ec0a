"""Protocols by name: the catalogue, and `custom` ones, whose name says all that they fix."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmark.contracts import DatasetInfo
from benchmark.errors import InputError, unknown
from benchmark.protocol.listed import LISTED, MULTI
from benchmark.protocol.rules import Protocol
from benchmark.protocol.single import CLASSIC, SINGLE
from benchmark.spec import Value, parse, read_toml

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (*CLASSIC, *SINGLE, *MULTI, *LISTED)
}

#: `custom-q100-t500-per-class-rest-k1000`: sizes, draw, database, k (a number or `all`).
CUSTOM = re.compile(
    r"custom-q([1-9][0-9]*)-t([1-9][0-9]*)-(per-class|stratified|random|quota)-(all-but-query|rest|train)"
    r"-k([1-9][0-9]*|all)"
)
CUSTOM_EXAMPLE = "custom-q100-t500-per-class-rest-kall"


def find(name: str) -> Protocol:
    """The protocol of a name: one of `PROTOCOLS`, or a custom one, whose name is its definition.

    `custom-q<queries>-t<training images>-<draw>-<database>-k<k or all>` means what `Protocol` says of the draws
    `per-class`, `stratified`, `random` and `quota` and of the databases `all-but-query`, `rest` and `train`.
    Raises InputError for any other name.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.startswith("custom"):
        return _custom(name)
    raise unknown("protocol", name, [*PROTOCOLS, "default", "custom-..."])


def _custom(name: str) -> Protocol:
    found = CUSTOM.fullmatch(name)
    if found is None:
        raise InputError(
            f"protocol {name!r}: a custom protocol is named by its numbers, such as {CUSTOM_EXAMPLE} (draws: "
            "per-class, stratified, random, quota; databases: all-but-query, rest, train; k: a number or all), "
            "or comes from a file (--protocol-file) or a suite's [protocol] table"
        )
    query, train, draw, database, k = found.groups()
    values = {"query": int(query), "train": int(train), "draw": draw, "database": database}
    values |= {"name": name, "title": "sizes given by the user", "k": None if k == "all" else int(k)}
    return parse(Protocol, values, f"protocol {name!r}")


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


def resolve(name: str, info: DatasetInfo) -> Protocol:
    """The protocol a data set is run under; `default` is the data set's own.

    Raises InputError for an unknown name or one that is not made for the data set.
    """
    wanted = info.default_protocol if name == "default" else name
    protocol = find(wanted)
    if protocol.datasets and info.name not in protocol.datasets:
        raise InputError(
            f"protocol {wanted!r} is for {', '.join(protocol.datasets)}, not for data set {info.name!r}"
        )
    if info.multi_label and protocol.draw in ("per-class", "stratified", "query-part"):
        raise InputError(f"protocol {wanted!r} draws by class; data set {info.name!r} is multi-label")
    if protocol.draw == "lists" and protocol.k is None and info.k is not None:
        return protocol.model_copy(update={"k": info.k})  # what the set's own lists were published with
    return protocol
