"""Protocols by name: the catalogue, and `custom` ones, whose name says all that they fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import Protocol
from benchmark.errors import InputError, unknown
from benchmark.spec import parse, read_toml

#: The named protocols, by name, in the file's order.
PROTOCOLS: dict[str, Protocol] = {
    row["name"]: Protocol(**row) for row in read_toml(Path(__file__).with_name("protocols.toml"))["protocol"]
}

#: `custom-q100-t500-per-class-rest-k1000`: sizes, draw, database, k (a number or `all`).
CUSTOM = re.compile(
    r"custom-q([1-9][0-9]*)-t([1-9][0-9]*)-(per-class|stratified|random|quota)-(all-but-query|rest|train)"
    r"-k([1-9][0-9]*|all)"
)
#: `neighbours-100`, `neighbours-10-cosine`: how many, and by which distance.
NEIGHBOURS = re.compile(r"neighbours-([1-9][0-9]{0,8})(?:-(euclidean|cosine|ip))?(-lists)?")
#: How a set without labels and parts of its own is divided.
_BY_SIZE = Protocol(name="by-size", title="by size", draw="by-size", query=1_000, train=10_000)
NEIGHBOURS_EXAMPLE = "neighbours-100"
CUSTOM_EXAMPLE = "custom-q100-t500-per-class-rest-kall"


def find(name: str) -> Protocol:
    """The protocol of a name: one of `PROTOCOLS`, or a custom one, whose name is its definition.

    `custom-q<queries>-t<training images>-<draw>-<database>-k<k or all>` means what `Protocol` says of the draws
    `per-class`, `stratified`, `random` and `quota` and of the databases `all-but-query`, `rest` and `train`.
    `neighbours-<K>`, `neighbours-<K>-cosine` and `neighbours-<K>-ip` rank by true neighbours; `resolve` gives them
    the parts of a data set's default protocol. Raises InputError for any other name.
    """
    if name.startswith("neighbours"):
        return _by_neighbours(name, PROTOCOLS["lists"] if name.endswith("-lists") else _BY_SIZE)
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.startswith("custom"):
        return _custom(name)
    raise unknown("protocol", name, [*PROTOCOLS, "default", "custom-...", "neighbours-K"])


def _by_neighbours(name: str, base: Protocol) -> Protocol:
    found = NEIGHBOURS.fullmatch(name)
    if found is None:
        raise InputError(
            f"protocol {name!r}: protocols of true neighbours are named neighbours-K, neighbours-K-cosine or "
            "neighbours-K-ip, with K from 1: how many, and by which distance (euclidean without one)"
        )
    if found[3] and base.draw != "lists":
        raise InputError(f"protocol {name!r} is for sets with parts of their own: leave out -lists")
    number, distance = int(found[1]), found[2] or "euclidean"
    values: dict[str, Any] = {
        "name": name,
        "version": 2 if base.overlapping else 1,  # version 1 ranked a query's own entry
        "title": f"the {number} true neighbours of each query",
        "datasets": (),
    }
    values |= {"neighbours": number, "distance": distance, "k": None, "source": ""}
    values |= {"note": f"parts as of {base.name} v{base.version}" if base.neighbours is None else base.note}
    # A query that released parts have in the database too would find itself first, and is no neighbour of itself.
    values |= {"exclude_self": base.exclude_self or base.overlapping}
    return base.model_copy(update=values)


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


def resolve(name: str, info: DatasetInfo) -> Protocol:
    """The protocol a data set is run under; `default` is the data set's own.

    Raises InputError for an unknown name or one that is not made for the data set.
    """
    wanted = info.default_protocol if name == "default" else name
    if wanted.startswith("neighbours"):
        own = info.default_protocol
        return _by_neighbours(wanted, find(own) if own.startswith("neighbours") else resolve("default", info))
    try:
        protocol = find(wanted)
    except InputError as error:
        raise InputError(
            f"default of data set {info.name!r}: {error}" if wanted != name else str(error)
        ) from None
    if not info.labelled and protocol.neighbours is None:
        raise InputError(
            f"data set {info.name!r} has no labels, which protocol {wanted!r} needs; allowed: neighbours-K, as "
            "neighbours-100"
        )
    if protocol.datasets and info.name not in protocol.datasets:
        raise InputError(
            f"protocol {wanted!r} is for {', '.join(protocol.datasets)}, not for data set {info.name!r}"
        )
    if info.multi_label and protocol.draw in ("per-class", "stratified", "query-part"):
        raise InputError(f"protocol {wanted!r} draws by class; data set {info.name!r} is multi-label")
    if protocol.draw == "lists" and protocol.k is None and info.k is not None:
        return protocol.model_copy(update={"k": info.k})  # what the set's own lists were published with
    return protocol
