"""Label noise: an exact, stratified, nested number of training labels made wrong, the same for every method."""

from __future__ import annotations

import bisect

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import generator, key_of
from benchmark.spec import LabelRule


def partners(info: DatasetInfo, classes: np.ndarray) -> dict[int, int]:
    """Class-conditional noise: what each of `classes` is mistaken for, by class index.

    The data set's published pairs where it has some (other classes keep their labels, as do those whose partner is
    not among `classes`), else the next class, the last one's being the first.
    """
    if info.confusions:
        inside = {int(c) for c in classes}
        return {c: p for c, p in info.confusions if c in inside and p in inside}
    return {int(c): int(classes[(i + 1) % len(classes)]) for i, c in enumerate(classes)}


def corrupt(
    rows: np.ndarray, labels: np.ndarray, rule: LabelRule, info: DatasetInfo, seed: int, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Make `rule.noise` of the labels of `rows` wrong; returns the changed rows, their new labels, and how many.

    rows: sorted int64 rows whose labels are shown; labels: uint8 (n, classes) of the whole set, unchanged;
    classes: the class indices that wrong labels come from. A wrong label replaces a true one, so that an image
    keeps its number of labels (for multi-label data: one bit off, another on). Of the m labels that can be
    replaced exactly round(noise x m) are, each class in proportion (a divisor rule, so that a lower noise's wrong
    labels are among a higher one's). An image's wrong label depends on the seed and the image alone.
    """
    told = labels[rows]
    pairs = partners(info, classes) if rule.noise_kind == "class-conditional" else None
    places, positives = _replaceable(told, classes, pairs)
    priority = generator("noise", key_of(info), seed).permutation(len(labels))
    chosen = _first(positives, priority[rows[places]], rule.noise)
    out = told.copy()
    picked = np.zeros(len(places), dtype=bool)
    picked[chosen] = True
    changed = np.unique(places[chosen])
    for place in changed:
        mine = slice(*np.searchsorted(places, (place, place + 1)))
        stream = (key_of(info), seed, int(rows[place]))
        wrong = np.array(_wrong_labels(told[place], positives[mine], classes, pairs, stream))
        out[place, positives[mine][picked[mine]]] = 0
        out[place, wrong[picked[mine]]] = 1
    return rows[changed], out[changed], len(chosen)


def _replaceable(
    told: np.ndarray, classes: np.ndarray, pairs: dict[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Every label that can be replaced: its place among the rows and its class, row by row.

    An image has no more of them than labels that it lacks, so that each gets a wrong label of its own.
    """
    places, positives = np.nonzero(told)
    starts = np.searchsorted(places, np.arange(len(told)))
    lacking = (told[:, classes] == 0).sum(axis=1)
    keep = np.arange(len(places)) - starts[places] < lacking[places]
    if pairs is not None:
        keep &= np.isin(positives, list(pairs))
    return places[keep], positives[keep]


def _wrong_labels(
    told: np.ndarray,
    positives: np.ndarray,
    classes: np.ndarray,
    pairs: dict[int, int] | None,
    stream: tuple[str, int, int],
) -> list[int]:
    """The class that each of an image's replaceable labels turns into, all different and all lacking in `told`."""
    absent = classes[told[classes] == 0]
    if pairs is None:
        shuffled = generator("noise", *stream).permutation(absent)
        return [int(label) for label in shuffled[: len(positives)]]
    free, found = [int(label) for label in absent], list[int]()
    for label in positives:  # the partner when the image lacks it, else the next class that it lacks
        found.append(free.pop(bisect.bisect_left(free, pairs[int(label)]) % len(free)))
    return found


def _first(classes: np.ndarray, priority: np.ndarray, share: float) -> np.ndarray:
    """Indices of the first round(share x n) entries of an order in which every class advances alike.

    The j-th of a class's m entries stands at (j + 1/2) / m, which is the order of Sainte-Lague's rule: the number
    taken of each class never falls when more are taken in all.
    """
    by_class = np.lexsort((priority, classes))
    sizes = np.bincount(classes) if len(classes) else np.array([], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(len(classes), dtype=np.float64)
    ranks[by_class] = np.arange(len(classes)) - starts[classes[by_class]]
    position = (ranks + 0.5) / sizes[classes]
    order: np.ndarray = np.lexsort((priority, classes, position))[: round(share * len(classes))]
    return order


def describe_noise(rule: LabelRule, info: DatasetInfo, moved: int) -> str:
    """The noise in words, for records and captions; empty without noise."""
    if not rule.noise:
        return ""
    if rule.noise_kind == "symmetric":
        what = f"{rule.noise:g} of the shown labels of each class replaced by any other class alike"
    else:
        pairs = partners(info, np.arange(len(info.classes)))
        to = "the next class"
        if info.confusions:
            to = ", ".join(f"{info.classes[a]} by {info.classes[b]}" for a, b in pairs.items())
            to += " (the other classes' labels are left)"
        what = f"{rule.noise:g} of the shown labels of each class with a partner replaced: {to}"
    count = f"{moved:,} labels are wrong, the same for every method"
    return f"label noise: {what}; {count}; queries and database keep theirs"
