"""Unseen classes: a seeded half of the classes trains, and retrieval is measured among the others."""

from __future__ import annotations

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import generator, key_of
from benchmark.errors import InputError

#: Share of the classes that a fit with a class split trains on; at least two are on each side.
SEEN_SHARE = 0.5


def seen_classes(info: DatasetInfo, class_split: int | None) -> np.ndarray:
    """The classes that a fit trains on, sorted int64 class indices; None: all of them.

    They depend on the data set and the split's number alone, not on the fit's seed, so that seeds of one class
    split repeat one experiment. Raises InputError for a data set with fewer than four classes.
    """
    count = len(info.classes)
    if class_split is None:
        return np.arange(count)
    if count < 4:
        raise InputError(
            f"unseen classes need a data set of 4 classes or more; {info.name!r} has {count}: 2 to train on, "
            "2 to retrieve among"
        )
    wanted = min(max(2, round(SEEN_SHARE * count)), count - 2)
    order = generator("class-split", key_of(info), class_split).permutation(count)
    chosen: np.ndarray = np.sort(order[:wanted])
    return chosen


def unseen_classes(info: DatasetInfo, class_split: int) -> np.ndarray:
    """The classes that `seen_classes` leaves out, sorted int64 class indices."""
    return np.setdiff1d(np.arange(len(info.classes)), seen_classes(info, class_split))


def rows_of(rows: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Those of `rows` (order kept) all of whose labels are among `classes`; images without a label are not.

    labels: uint8 (n, classes) of the whole set. A multi-label image with labels on both sides of a class split
    belongs to neither.
    """
    inside = np.zeros(labels.shape[1], dtype=bool)
    inside[classes] = True
    shown = labels[rows] > 0
    kept: np.ndarray = rows[shown.any(axis=1) & ~shown[:, ~inside].any(axis=1)]
    return kept


def unasked(query: np.ndarray, labels: np.ndarray, info: DatasetInfo) -> list[str]:
    """Names of the classes that have images but no query.

    query: row numbers; labels: uint8 (n, classes) of the whole set.
    """
    left_out = labels.any(axis=0) & ~labels[query].any(axis=0)
    return [info.classes[number] for number in np.flatnonzero(left_out)]
