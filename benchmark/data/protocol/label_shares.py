"""Label scarcity: which training images keep their label, in nested, stratified orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.errors import InputError
from benchmark.spec import LabelRule

#: Share of the labelled training images that `--selection val` holds out of training.
TUNING_SHARE = 0.1


@dataclass(frozen=True)
class Shown:
    """The training part sorted into labelled, held out for tuning, and without a label; int64 row numbers."""

    labelled: np.ndarray
    tuning: np.ndarray
    hidden: np.ndarray


def show_by_class(
    orders: list[np.ndarray], rule: LabelRule, where: str, names: tuple[str, ...], *, tuning: bool
) -> Shown:
    """Single-label: the head of each class's order is labelled, so a smaller share's images are in a larger one's.

    orders: each class's training rows in its seeded order, empty for a class that does not train. At least one a
    class is shown. Raises InputError when a class has fewer images than are to be labelled, or too few to hold one
    out for tuning; `where` and `names` word it.
    """
    labelled, held_out, hidden = [], [], []
    for name, order in zip(names, orders, strict=True):
        size = len(order)
        if rule.per_class is not None and 0 < size < rule.per_class:
            raise InputError(f"{rule.per_class} labels a class: class {name!r} of {where} trains on {size}")
        shown = max(1, round(rule.fraction * size)) if rule.per_class is None else rule.per_class
        shown = min(shown, size)
        held = max(1, round(TUNING_SHARE * shown)) if tuning and size else 0
        if size and held >= shown:
            raise InputError(f"selection 'val' needs 2 labelled images a class; class {name!r} has {shown}")
        labelled.append(order[: shown - held])
        held_out.append(order[shown - held : shown])
        hidden.append(order[shown:])
    return Shown(*(np.sort(np.concatenate(parts)) for parts in (labelled, held_out, hidden)))


def show_by_cover(
    rows: np.ndarray, labels: np.ndarray, rule: LabelRule, where: str, *, tuning: bool
) -> Shown:
    """Multi-label: the head of one greedy order is labelled, never less than covers every label that trains.

    rows: the training rows in their seeded order; labels: uint8 (len(rows), classes), theirs. With a share, the
    order keeps every label's share alike; with labels a class, it raises the scarcest label first, and its head
    goes as far as every label has that many (or all it has). Each of the two is nested in itself.
    Raises InputError when there are fewer training images than labels a class asks for.
    """
    if rule.per_class is not None and rule.per_class > len(rows):
        raise InputError(f"{rule.per_class} labels a class: {where} trains on {len(rows)} images")
    order, cover = greedy_order(labels, equal_counts=rule.per_class is not None)
    if rule.per_class is None:
        shown = max(1, round(rule.fraction * len(rows)))
    else:
        counts = labels[order].cumsum(axis=0, dtype=np.int64)
        wanted = np.minimum(rule.per_class, counts[-1])
        shown = 1 + int((counts < wanted).any(axis=1).sum())
    shown = min(len(rows), max(shown, cover))
    held = max(1, round(TUNING_SHARE * shown)) if tuning else 0
    held = min(held, shown - cover) if cover else held
    if tuning and not 0 < held < shown:
        raise InputError(
            f"selection 'val' needs more labelled images: {shown} are shown, and {where} needs {cover} of them "
            "to cover every label"
        )
    parts = (order[: shown - held], order[shown - held : shown], order[shown:])
    return Shown(*(np.sort(rows[part]) for part in parts))


def greedy_order(labels: np.ndarray, *, equal_counts: bool = False) -> tuple[np.ndarray, int]:
    """A nested order over multi-label images, and how many of its first cover every label that occurs.

    First the rarest label not yet covered is given its image that covers the most uncovered labels (a greedy set
    cover); then the label that lags behind most is given its next image: by the share of its images taken, so that
    every head keeps the labels' proportions (after iterative stratification: Sechidis, Tsoumakas, Vlahavas,
    ECML-PKDD 2011), or with `equal_counts` by their number. Ties go to the rarer label, then the lower index, and
    inside a label by the order given. labels: uint8 (n, classes). Images without a label are spread as one label.
    """
    table = labels > 0
    table = np.column_stack([table, ~table.any(axis=1)])
    totals = table.sum(axis=0)
    queues = [np.flatnonzero(column) for column in table.T]
    taken, order = np.zeros(len(table), dtype=bool), list[int]()
    counts = np.zeros(len(totals), dtype=np.int64)

    def take(row: int) -> None:
        taken[row] = True
        order.append(row)
        np.add(counts, table[row], out=counts)

    uncovered = totals > 0
    uncovered[-1] = False
    while uncovered.any():
        label = int(np.where(uncovered, totals, len(table) + 1).argmin())
        gains = table[queues[label]][:, uncovered].sum(axis=1)
        take(int(queues[label][gains.argmax()]))
        uncovered &= counts == 0
    cover = len(order)
    weights = np.ones(len(totals)) if equal_counts else 1 / np.maximum(totals, 1)
    rarity = totals / (totals.sum() + 1) * weights.min()  # below one count: it only decides between equals
    heads = [0] * len(totals)
    while len(order) < len(table):
        lag = np.where(counts < totals, counts * weights + 1e-3 * rarity, np.inf)
        if equal_counts:
            lag[-1] += len(table)  # images without a label come last: they raise no count
        label = int(lag.argmin())
        queue = queues[label]
        while taken[queue[heads[label]]]:
            heads[label] += 1
        take(int(queue[heads[label]]))
    return np.array(order, dtype=np.int64), cover


def describe_labels(rule: LabelRule, *, multi_label: bool = False) -> str:
    """The rule in words, for records and captions; the noise is `describe_noise`'s."""
    if rule.full:
        return "every training label is shown"
    fate = {
        "unlabelled": "the rest of the training images is handed over without labels",
        "dropped": "the rest of the training images is left out (the number of updates stays)",
    }[rule.hidden]
    if rule.per_class is not None:
        number = f"{rule.per_class} labelled images of each class are shown"
        if multi_label:
            number = f"images are labelled until each label has {rule.per_class} (or all it has)"
        return f"{number} (nested), {fate}"
    if multi_label:
        return f"{rule.fraction:g} of the images are labelled (every label covered, nested), {fate}"
    return f"{rule.fraction:g} of the labels of each class are shown (at least one, nested), {fate}"
