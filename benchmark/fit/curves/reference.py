"""Which real images stand for the data in a Fréchet distance, and which labels are asked of a generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Split

#: Real images that the reference's Gaussian is taken from, at most; fewer unseen ones than this: see below.
REFERENCE, ENOUGH = 10_000, 500
#: Columns of the grid at most, and latent draws (rows) in it.
COLUMNS, DRAWS = 10, 4


@dataclass(frozen=True)
class Reference:
    """Real images of one split whose classes occur among its labelled training images.

    rows: the reference, row numbers into the data set. other: real images outside it, as many as samples are
    drawn at most, whose distance says what a perfect generator would get; may be empty.
    labels: uint8 (samples, classes), what the generator is asked for. text: all this in words.
    """

    rows: np.ndarray
    other: np.ndarray
    labels: np.ndarray
    text: str


def reference(data: LoadedDataset, split: Split, samples: int) -> Reference:
    """Database images that the fit does not train on, evenly spaced; with fewer than `ENOUGH` of them (a
    database that is the training set), the training images as well. Labels repeat the reference's shares.
    """
    trained = np.concatenate([split.labelled, split.hidden, split.tuning])
    rows = _askable(data, split, np.setdiff1d(split.database, trained))
    where = "database images outside the training set"
    if len(rows) < ENOUGH:
        rows = _askable(data, split, np.union1d(split.database, trained))
        where = "database and training images (too few lie outside the training set)"
    if len(rows) < 2:
        raise ValueError("fewer than two real images of the training classes: no Fréchet distance")
    other = rows[:0]
    if len(rows) > ENOUGH:
        chosen = _evenly(rows, min(REFERENCE, len(rows) - min(samples, len(rows) // 2)))
        other = _evenly(np.setdiff1d(rows, chosen), samples)
        rows = chosen
    labels = data.labels[_evenly(_by_label(data, rows), samples, repeat=True)]
    return Reference(rows, other, labels, f"{len(rows)} {where}")


def near_rows(data: LoadedDataset, chosen: Reference) -> np.ndarray:
    """Rows of the reference, as many as labels are asked for at most, evenly spaced in label order."""
    return _evenly(_by_label(data, chosen.rows), len(chosen.labels))


def grid_labels(data: LoadedDataset, split: Split) -> np.ndarray:
    """uint8 (columns, classes): one label set a column, ten at most, evenly spaced among those trained on."""
    known = np.unique(data.labels[split.labelled], axis=0)[::-1]  # one-hot rows: class 0 first
    return _evenly(known, COLUMNS)


def seen_classes(data: LoadedDataset, split: Split) -> np.ndarray:
    """bool (classes,): the classes that occur among the labelled training images."""
    seen: np.ndarray = data.labels[split.labelled].any(axis=0)
    return seen


def _askable(data: LoadedDataset, split: Split, rows: np.ndarray) -> np.ndarray:
    """The rows that have a label, and only labels seen in training."""
    labels, seen = data.labels[rows], seen_classes(data, split)
    kept: np.ndarray = rows[labels.any(axis=1) & ~labels[:, ~seen].any(axis=1)]
    return kept


def _by_label(data: LoadedDataset, rows: np.ndarray) -> np.ndarray:
    ordered: np.ndarray = rows[np.lexsort(data.labels[rows].T[::-1])]
    return ordered


def _evenly(values: np.ndarray, count: int, *, repeat: bool = False) -> np.ndarray:
    """`count` evenly spaced entries, in order; all of them when there are fewer, unless they may repeat."""
    if len(values) <= count and not repeat:
        return values
    places = (np.arange(count) + 0.5) * len(values) / count
    chosen: np.ndarray = values[places.astype(np.int64)]
    return chosen
