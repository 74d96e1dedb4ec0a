"""Splits: the parts of a data set for one seed, under one protocol and one label rule."""

from __future__ import annotations

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.class_splits import rows_of, seen_classes
from benchmark.data.protocol.draws import DRAWS, DrawInputs, Parts, listed
from benchmark.data.protocol.label_noise import corrupt
from benchmark.data.protocol.label_shares import Shown, show_by_class, show_by_cover
from benchmark.data.protocol.protocol import Protocol, Split
from benchmark.errors import InputError
from benchmark.spec import LabelRule


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
    given = DrawInputs(protocol, info, labels, seed, parts or {})
    rule = rule or LabelRule()
    query, train = DRAWS[protocol.draw](given)
    database = _database(given, query, train)
    if protocol.neighbours is not None and protocol.neighbours >= len(database):
        raise InputError(
            f"{given.where}: the database has {len(database):,} items, and so many neighbours or more would make "
            f"every one relevant; ask for at most {len(database) - 1:,}"
        )
    _check_overlaps(given, query, train, database)
    seen = seen_classes(info, class_split)
    if class_split is not None:
        train = rows_of(train, labels, seen)
        if not len(train):
            raise InputError(
                f"{given.where}: no training image has only classes of class split {class_split}"
            )
    shown = _show(given, train, rule, tuning=tuning)
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


def _show(given: DrawInputs, train: np.ndarray, rule: LabelRule, *, tuning: bool) -> Shown:
    if not given.info.multi_label:
        orders = given.class_orders(train)
        return show_by_class(orders, rule, given.where, given.info.classes, tuning=tuning)
    if rule.full and not tuning:
        nothing = np.array([], dtype=np.int64)
        return Shown(np.sort(train), nothing, nothing)
    inside = np.zeros(len(given.labels), dtype=bool)
    inside[train] = True
    whole = given.permutation()
    rows = whole[inside[whole]]
    return show_by_cover(rows, given.labels[rows], rule, given.where, tuning=tuning)


def _database(given: DrawInputs, query: np.ndarray, train: np.ndarray) -> np.ndarray:
    rule = given.protocol
    if rule.database == "train":
        return np.sort(train)
    if rule.database == "listed":
        whole = np.setdiff1d(
            np.arange(len(given.labels)), query
        )  # lists without a database: all but the queries
        kept = np.sort(listed(given, "database")) if "database" in given.parts else whole
        if rule.disjoint:
            kept = np.setdiff1d(kept, np.concatenate([query, train]))
        return kept
    inside = np.ones(len(given.labels), dtype=bool)
    inside[query] = False
    if rule.database == "rest":
        inside[train] = False
    return np.flatnonzero(inside)


def _check_overlaps(given: DrawInputs, query: np.ndarray, train: np.ndarray, database: np.ndarray) -> None:
    """Refuse what only lists can bring: empty parts, and queries inside another part."""
    for part, rows in (("query", query), ("training", train), ("database", database)):
        if not len(rows):
            raise InputError(f"{given.where}: the {part} part is empty")
    if given.protocol.overlapping:
        return
    for part, rows in (("training part", train), ("database", database)):
        held = np.zeros(len(given.labels), dtype=bool)
        held[rows] = True
        shared = int(held[np.unique(query)].sum())
        if shared:
            by_name = "lists-as-released keeps them, lists-disjoint takes them out of the other parts"
            mend = f"ask for it by name: {by_name}"
            if given.protocol.neighbours is not None:
                mend = f"take them out of the {part} in the set's own lists"
            raise InputError(f"{given.where}: {shared:,} queries are in the {part} too; {mend}")
