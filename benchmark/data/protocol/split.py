"""Splits: the parts of a data set for one seed, under one protocol and one label rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.class_splits import rows_of, seen_classes
from benchmark.data.protocol.label_noise import corrupt
from benchmark.data.protocol.label_shares import Shown, show_by_class, show_by_cover
from benchmark.data.protocol.protocol import Protocol, Split, generator, key_of
from benchmark.errors import InputError
from benchmark.spec import LabelRule

Parts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _Bench:
    """What a draw reads: the set's facts, its labels, the seed, and its own parts."""

    protocol: Protocol
    info: DatasetInfo
    labels: np.ndarray
    seed: int
    parts: Parts

    @property
    def where(self) -> str:
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


def draw(
    protocol: Protocol,
    info: DatasetInfo,
    labels: np.ndarray,
    seed: int,
    rule: LabelRule | None = None,
    *,
    parts: Parts | None = None,
    class_split: int | None = None,
    tuning: bool = False,
) -> Split:
    """Draw the parts for one seed; they depend on the seed and the data set alone.

    labels: uint8 (n, classes), one-hot or multi-hot. rule: which training labels are shown (None: all). parts: the
    set's own parts, see `Decoded.parts`. class_split: train on `seen_classes` alone (queries and database stay
    whole; an evaluation picks its classes with `rows_of`). tuning: hold a tenth of the labelled images out of
    training; their labels are training labels, noise included. The labelled part is stratified and nested: a
    smaller share's images, or fewer labels a class, are among a larger one's. The size of the training part, and
    with it the number of updates, does not depend on the rule. Raises InputError when a class has too few images,
    a list is missing, or parts overlap that the protocol does not let overlap.
    """
    bench = _Bench(protocol, info, labels, seed, parts or {})
    rule = rule or LabelRule()
    query, train = _DRAWS[protocol.draw](bench)
    database = _database(bench, query, train)
    if protocol.neighbours is not None and protocol.neighbours >= len(database):
        raise InputError(
            f"{bench.where}: the database has {len(database):,} items, and so many neighbours or more would make "
            f"every one relevant; ask for at most {len(database) - 1:,}"
        )
    _check_overlaps(bench, query, train, database)
    seen = seen_classes(info, class_split)
    if class_split is not None:
        train = rows_of(train, labels, seen)
        if not len(train):
            raise InputError(
                f"{bench.where}: no training image has only classes of class split {class_split}"
            )
    shown = _show(bench, train, rule, tuning=tuning)
    keep = rule.hidden == "unlabelled"
    nothing = np.array([], dtype=np.int64)
    told = np.sort(np.concatenate([shown.labelled, shown.tuning]))
    changed, wrong, moved = nothing, labels[:0], 0
    if rule.noise:
        changed, wrong, moved = corrupt(told, labels, rule, info, seed, seen)
    return Split(
        query=np.sort(query),
        database=database,
        labelled=shown.labelled,
        hidden=shown.hidden if keep else nothing,
        tuning=shown.tuning,
        dropped=nothing if keep else shown.hidden,
        changed=changed,
        changed_labels=wrong,
        moved=moved,
        seen=nothing if class_split is None else seen,
    )


def _show(bench: _Bench, train: np.ndarray, rule: LabelRule, *, tuning: bool) -> Shown:
    if not bench.info.multi_label:
        orders = bench.class_orders(train)
        return show_by_class(orders, rule, bench.where, bench.info.classes, tuning=tuning)
    if rule.full and not tuning:
        nothing = np.array([], dtype=np.int64)
        return Shown(np.sort(train), nothing, nothing)
    inside = np.zeros(len(bench.labels), dtype=bool)
    inside[train] = True
    whole = bench.permutation()
    rows = whole[inside[whole]]
    return show_by_cover(rows, bench.labels[rows], rule, bench.where, tuning=tuning)


# ---- the ways to draw: query rows and training rows, in any order ------------------------------------


def _per_class(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    counts = [(bench.protocol.query, bench.protocol.train)] * len(bench.info.classes)
    return _by_class(bench, counts)


def _stratified(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    """Totals shared out over the classes by size (largest remainders; ties to the lower class)."""
    sizes = bench.labels.sum(axis=0, dtype=np.int64)
    _check_size(bench, len(bench.labels))
    queries = _shared_out(bench.protocol.query, sizes)
    if bench.protocol.query + bench.protocol.train == len(bench.labels):
        return _by_class(bench, list(zip(queries, sizes - queries, strict=True)))
    trains = _shared_out(bench.protocol.train, sizes)
    return _by_class(bench, list(zip(queries, np.minimum(trains, sizes - queries), strict=True)))


def _shared_out(total: int, sizes: np.ndarray) -> np.ndarray:
    floors, remainders = np.divmod(total * sizes, sizes.sum())
    floors[np.argsort(-remainders, kind="stable")[: total - floors.sum()]] += 1
    counts: np.ndarray = floors
    return counts


def _by_class(bench: _Bench, counts: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    query, train = [], []
    for name, order, (q, t) in zip(bench.info.classes, bench.class_orders(), counts, strict=True):
        if len(order) < q + t:
            raise InputError(
                f"protocol {bench.protocol.name!r} needs {q + t} images a class; "
                f"class {name!r} of data set {bench.info.name!r} has {len(order)}"
            )
        query.append(order[:q])
        train.append(order[q : q + t])
    return np.concatenate(query), np.concatenate(train)


def _random(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    q, t = bench.protocol.query, bench.protocol.train
    _check_size(bench, len(bench.labels))
    order = bench.permutation()
    return order[:q], order[q : q + t]


def _check_size(bench: _Bench, images: int) -> None:
    needed = bench.protocol.query + bench.protocol.train
    if images < needed:
        raise InputError(
            f"protocol {bench.protocol.name!r} needs {needed:,} images; data set {bench.info.name!r} "
            f"has {images:,}"
        )


def _quota(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    """One pass over the permutation; an image is charged to the first of its labels that wants it.

    Charging one label an image is what gives the published 21 x 500 and 21 x 100 images exactly.
    """
    wanted = [[size] * len(bench.info.classes) for size in (bench.protocol.train, bench.protocol.query)]
    found: list[list[int]] = [[], []]
    order = bench.permutation()
    rows, columns = np.nonzero(bench.labels[order])
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
                f"{bench.where}: label {bench.info.classes[label]!r} has too few images for its {what}"
            )
    return np.array(found[1], dtype=np.int64), np.array(found[0], dtype=np.int64)


def _official(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    border = bench.protocol.official_train
    if len(bench.labels) <= border:
        raise InputError(
            f"{bench.where}: {len(bench.labels):,} images, of which {border:,} would train; no query is left"
        )
    return np.arange(border, len(bench.labels)), np.arange(border)


def _query_part(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    query = _listed(bench, "query")
    others = np.setdiff1d(np.arange(len(bench.labels)), query)
    if "train" in bench.parts:  # a set that comes with its own training list
        return query, bench.parts["train"]
    train = []
    for name, order in zip(bench.info.classes, bench.class_orders(others), strict=True):
        if len(order) < bench.protocol.train:
            raise InputError(
                f"{bench.where} needs {bench.protocol.train} images a class besides the queries; class {name!r} "
                f"has {len(order)}"
            )
        train.append(order[: bench.protocol.train])
    return query, np.concatenate(train)


def _lists(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    query, train = _listed(bench, "query"), _listed(bench, "train")
    return query, np.setdiff1d(train, query) if bench.protocol.disjoint else train


def _listed(bench: _Bench, part: str) -> np.ndarray:
    if part not in bench.parts:
        raise InputError(
            f"protocol {bench.protocol.name!r} reads the parts that a data set's list files name; "
            f"data set {bench.info.name!r} has no {part} list"
        )
    rows: np.ndarray = np.asarray(bench.parts[part], dtype=np.int64)
    return rows


def _by_size(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    order = bench.permutation()
    q = min(bench.protocol.query, len(order) // 10)
    if not q:
        raise InputError(f"{bench.where}: {len(order)} items are too few; at least 10 are needed")
    return order[:q], order[q : q + bench.protocol.train]


_DRAWS = {
    "per-class": _per_class,
    "stratified": _stratified,
    "random": _random,
    "quota": _quota,
    "official": _official,
    "query-part": _query_part,
    "lists": _lists,
    "by-size": _by_size,
}


# ---- the database, and what may lie in two parts -----------------------------------------------------


def _database(bench: _Bench, query: np.ndarray, train: np.ndarray) -> np.ndarray:
    rule = bench.protocol
    if rule.database == "train":
        return np.sort(train)
    if rule.database == "listed":
        whole = np.setdiff1d(
            np.arange(len(bench.labels)), query
        )  # lists without a database: all but the queries
        listed = np.sort(_listed(bench, "database")) if "database" in bench.parts else whole
        if rule.disjoint:
            listed = np.setdiff1d(listed, np.concatenate([query, train]))
        return listed
    inside = np.ones(len(bench.labels), dtype=bool)
    inside[query] = False
    if rule.database == "rest":
        inside[train] = False
    return np.flatnonzero(inside)


def _check_overlaps(bench: _Bench, query: np.ndarray, train: np.ndarray, database: np.ndarray) -> None:
    """Refuse what only lists can bring: empty parts, and queries inside another part."""
    for part, rows in (("query", query), ("training", train), ("database", database)):
        if not len(rows):
            raise InputError(f"{bench.where}: the {part} part is empty")
    if bench.protocol.overlapping:
        return
    for part, rows in (("training part", train), ("database", database)):
        held = np.zeros(len(bench.labels), dtype=bool)
        held[rows] = True
        shared = int(held[np.unique(query)].sum())
        if shared:
            by_name = "lists-as-released keeps them, lists-disjoint takes them out of the other parts"
            mend = f"ask for it by name: {by_name}"
            if bench.protocol.neighbours is not None:
                mend = f"take them out of the {part} in the set's own lists"
            raise InputError(f"{bench.where}: {shared:,} queries are in the {part} too; {mend}")
