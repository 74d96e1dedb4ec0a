"""The ways to draw queries and training rows, one function a protocol's `draw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import Protocol, generator, key_of
from benchmark.errors import InputError

Parts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class DrawInputs:
    """What a draw reads: the set's facts, its labels, the seed, and its own parts."""

    protocol: Protocol
    info: DatasetInfo
    labels: np.ndarray
    seed: int
    parts: Parts

    @property
    def where(self) -> str:
        """What is drawn, for messages."""
        return f"protocol {self.protocol.name!r} on data set {self.info.name!r}"

    def class_orders(self, rows: np.ndarray | None = None) -> list[np.ndarray]:
        """The seeded permutation of each class's rows, which every protocol and label share of a set reads from.

        rows: confine it to these rows, in the same order.
        """
        class_ids = self.labels.argmax(axis=1)
        inside = None
        if rows is not None:
            inside = np.zeros(len(self.labels), dtype=bool)
            inside[rows] = True
        orders = []
        for number in range(len(self.info.classes)):
            mine = np.flatnonzero(class_ids == number)
            order = mine[generator("split", key_of(self.info), self.seed, number).permutation(len(mine))]
            orders.append(order if inside is None else order[inside[order]])
        return orders

    def permutation(self) -> np.ndarray:
        """The seeded permutation of the whole set."""
        return generator("split", key_of(self.info), self.seed, "whole").permutation(len(self.labels))


def _per_class(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    counts = [(given.protocol.query, given.protocol.train)] * len(given.info.classes)
    return _by_class(given, counts)


def _stratified(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    """Totals shared out over the classes by size (largest remainders; ties to the lower class)."""
    sizes = given.labels.sum(axis=0, dtype=np.int64)
    _check_size(given, len(given.labels))
    queries = _shared_out(given.protocol.query, sizes)
    if given.protocol.query + given.protocol.train == len(given.labels):
        return _by_class(given, list(zip(queries, sizes - queries, strict=True)))
    trains = _shared_out(given.protocol.train, sizes)
    return _by_class(given, list(zip(queries, np.minimum(trains, sizes - queries), strict=True)))


def _shared_out(total: int, sizes: np.ndarray) -> np.ndarray:
    floors, remainders = np.divmod(total * sizes, sizes.sum())
    floors[np.argsort(-remainders, kind="stable")[: total - floors.sum()]] += 1
    counts: np.ndarray = floors
    return counts


def _by_class(given: DrawInputs, counts: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    query, train = [], []
    for name, order, (q, t) in zip(given.info.classes, given.class_orders(), counts, strict=True):
        if len(order) < q + t:
            raise InputError(
                f"protocol {given.protocol.name!r} needs {q + t} images a class; "
                f"class {name!r} of data set {given.info.name!r} has {len(order)}"
            )
        query.append(order[:q])
        train.append(order[q : q + t])
    return np.concatenate(query), np.concatenate(train)


def _random(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    q, t = given.protocol.query, given.protocol.train
    _check_size(given, len(given.labels))
    order = given.permutation()
    return order[:q], order[q : q + t]


def _check_size(given: DrawInputs, images: int) -> None:
    needed = given.protocol.query + given.protocol.train
    if images < needed:
        raise InputError(
            f"protocol {given.protocol.name!r} needs {needed:,} images; data set {given.info.name!r} "
            f"has {images:,}"
        )


def _quota(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    """One pass over the permutation; an image is charged to the first of its labels that wants it.

    Charging one label an image is what gives the published 21 x 500 and 21 x 100 images exactly.
    """
    wanted = [[size] * len(given.info.classes) for size in (given.protocol.train, given.protocol.query)]
    found: list[list[int]] = [[], []]
    order = given.permutation()
    rows, columns = np.nonzero(given.labels[order])
    for place, mine in enumerate(np.split(columns, np.searchsorted(rows, np.arange(1, len(order))))):
        for part, quota in zip(found, wanted, strict=True):
            label = next((int(c) for c in mine if quota[c]), None)
            if label is not None:
                quota[label] -= 1
                part.append(int(order[place]))
                break
    for quota, what in zip(wanted, ("training images", "queries"), strict=True):
        if any(quota):
            label = next(c for c, left in enumerate(quota) if left)
            raise InputError(
                f"{given.where}: label {given.info.classes[label]!r} has too few images for its {what}"
            )
    return np.array(found[1], dtype=np.int64), np.array(found[0], dtype=np.int64)


def _official(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    border = given.protocol.official_train
    if len(given.labels) <= border:
        raise InputError(
            f"{given.where}: {len(given.labels):,} images, of which {border:,} would train; no query is left"
        )
    return np.arange(border, len(given.labels)), np.arange(border)


def _query_part(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    query = listed(given, "query")
    others = np.setdiff1d(np.arange(len(given.labels)), query)
    if "train" in given.parts:  # a set that comes with its own training list
        return query, given.parts["train"]
    train = []
    for name, order in zip(given.info.classes, given.class_orders(others), strict=True):
        if len(order) < given.protocol.train:
            raise InputError(
                f"{given.where} needs {given.protocol.train} images a class besides the queries; class {name!r} "
                f"has {len(order)}"
            )
        train.append(order[: given.protocol.train])
    return query, np.concatenate(train)


def _lists(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    query, train = listed(given, "query"), listed(given, "train")
    return query, np.setdiff1d(train, query) if given.protocol.disjoint else train


def listed(given: DrawInputs, part: str) -> np.ndarray:
    """The rows that the set's own list names for a part, int64; InputError when it has no such list."""
    if part not in given.parts:
        raise InputError(
            f"protocol {given.protocol.name!r} reads the parts that a data set's list files name; "
            f"data set {given.info.name!r} has no {part} list"
        )
    rows: np.ndarray = np.asarray(given.parts[part], dtype=np.int64)
    return rows


def _by_size(given: DrawInputs) -> tuple[np.ndarray, np.ndarray]:
    order = given.permutation()
    q = min(given.protocol.query, len(order) // 10)
    if not q:
        raise InputError(f"{given.where}: {len(order)} items are too few; at least 10 are needed")
    return order[:q], order[q : q + given.protocol.train]


#: `Protocol.draw` to what draws: query rows and training rows, in any order.
DRAWS = {
    "per-class": _per_class,
    "stratified": _stratified,
    "random": _random,
    "quota": _quota,
    "official": _official,
    "query-part": _query_part,
    "lists": _lists,
    "by-size": _by_size,
}
