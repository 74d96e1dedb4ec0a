"""What an audit finds: the parts with their labels, what two parts share, and what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import Field

from benchmark.data.audit.pixels import PixelFacts
from benchmark.spec import Value

#: How an overlap was found, in words.
BY = {
    "id": "the same image",
    "pixels": "identical pixels under another name",
    "near": "nearly the same pixels",
}


class PartFacts(Value):
    """One part: images (lines), distinct ones, and its labels (None where lists have none)."""

    images: int
    distinct: int
    zero_label: int | None = None
    labels_per_image: float | None = None
    missing_classes: tuple[str, ...] = ()
    smallest_class: tuple[str, int] | None = None
    largest_class: tuple[str, int] | None = None


class Overlap(Value):
    """Images of `one` that are in `other` too: how many of each, found `by` what, and up to three pairs of names.

    `expected`: the protocol says that it is so.
    """

    one: str
    other: str
    by: str
    images_of_one: int
    images_of_other: int
    expected: bool = False
    examples: tuple[tuple[str, str], ...] = ()


class Audit(Value):
    """The whole report. `findings` are the lines that a reader must act on or state; empty when all is well."""

    subject: str
    protocol: str = ""
    images: int
    shape: tuple[int, ...] = ()
    parts: dict[str, PartFacts]
    distinct: int
    overlaps: tuple[Overlap, ...] = ()
    pixels: str = ""
    identical: int | None = None
    label_conflicts: int | None = None
    near_pairs: int | None = None
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = Field(default=())


def part_facts(rows: np.ndarray, labels: np.ndarray | None, classes: Sequence[str]) -> PartFacts:
    """The facts of one part. rows: int64 row numbers, repeats allowed; labels: uint8 (n, classes) or None."""
    if labels is None or not len(rows):
        return PartFacts(images=len(rows), distinct=len(np.unique(rows)))
    shown = labels[rows] > 0
    return labelled_part(rows, shown.sum(axis=0), shown.sum(axis=1), classes)


def labelled_part(
    rows: np.ndarray, counts: np.ndarray, carried: np.ndarray, classes: Sequence[str]
) -> PartFacts:
    """The facts of a part from its images of each class (classes,) and the labels that its images carry."""
    low, high = int(counts.argmin()), int(counts.argmax())
    return PartFacts(
        images=len(rows),
        distinct=len(np.unique(rows)),
        zero_label=int((carried == 0).sum()),
        labels_per_image=round(float(carried.mean()), 4),
        missing_classes=tuple(classes[int(c)] for c in np.flatnonzero(counts == 0)),
        smallest_class=(classes[low], int(counts[low])),
        largest_class=(classes[high], int(counts[high])),
    )


def overlaps(
    parts: Mapping[str, np.ndarray],
    pixels: PixelFacts | None,
    name_of: Callable[[int], str],
    expected: frozenset[tuple[str, str, str]] = frozenset(),
) -> tuple[Overlap, ...]:
    """What every two parts share, by id and (given `pixels`) by identical and by nearly the same pixels.

    Pixels count pairs of different rows alone: the same row in two parts is an overlap by id.
    """
    found = []
    for one, other in itertools.combinations(parts, 2):
        for by, pairs in _pairs(np.unique(parts[one]), np.unique(parts[other]), pixels):
            if len(pairs):
                found.append(
                    Overlap(
                        one=one,
                        other=other,
                        by=by,
                        images_of_one=len(np.unique(pairs[:, 0])),
                        images_of_other=len(np.unique(pairs[:, 1])),
                        expected=(one, other, by) in expected,
                        examples=tuple((name_of(int(a)), name_of(int(b))) for a, b in pairs[:3]),
                    )
                )
    return tuple(found)


def _pairs(one: np.ndarray, other: np.ndarray, pixels: PixelFacts | None) -> list[tuple[str, np.ndarray]]:
    shared = np.intersect1d(one, other)
    found = [("id", np.stack([shared, shared], axis=1))]
    if pixels is not None:
        found.append(("pixels", _identical(one, other, pixels.digests)))
        if pixels.near is not None:
            both = np.concatenate([pixels.near, pixels.near[:, ::-1]])
            inside = np.isin(both[:, 0], one) & np.isin(both[:, 1], other)
            found.append(("near", both[inside]))
    return found


def _identical(one: np.ndarray, other: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Pairs of different rows, the first from `one`, the second from `other`, with one digest."""
    by_digest: dict[int, list[int]] = {}
    _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
    repeated = counts[inverse] > 1
    for row in other[repeated[other]]:
        by_digest.setdefault(int(inverse[row]), []).append(int(row))
    pairs = [
        (int(row), twin)
        for row in one[repeated[one]]
        for twin in by_digest.get(int(inverse[row]), ())
        if twin != row
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def twins(digests: np.ndarray, labels: np.ndarray | None, known: np.ndarray | None = None) -> tuple[int, int]:
    """Images that have an identical twin, and those of them whose twins do not all have the same labels.

    known: bool (n,), whose labels count; None: everyone's.
    """
    _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[inverse] > 1)
    if labels is None or not len(repeated):
        return len(repeated), 0
    groups: dict[int, list[int]] = {}
    for row in repeated if known is None else repeated[known[repeated]]:
        groups.setdefault(int(inverse[row]), []).append(int(row))
    conflicts = [rows for rows in groups.values() if (labels[rows] != labels[rows[0]]).any()]
    return len(repeated), sum(len(rows) for rows in conflicts)


def findings(audit: Audit) -> tuple[str, ...]:
    """The lines that a reader must act on or state, the gravest first."""
    found = []
    for one in audit.overlaps:
        if one.expected:
            continue
        example = " and ".join(dict.fromkeys(one.examples[0]))
        share = f"{one.images_of_one:,} of {audit.parts[one.one].images:,} {one.one} images"
        found.append(
            f"{share} are in the {one.other} part, as {one.images_of_other:,} of its images: "
            f"{BY[one.by]}, such as {example}"
        )
    for name, part in audit.parts.items():
        if part.images > part.distinct:
            found.append(f"{part.images - part.distinct:,} lines of the {name} part repeat an image")
        if part.missing_classes:
            shown = ", ".join(part.missing_classes[:10])
            more = "" if len(part.missing_classes) <= 10 else ", ..."
            found.append(
                f"{len(part.missing_classes)} classes have no image in the {name} part: {shown}{more}"
            )
        if part.zero_label:
            found.append(f"{part.zero_label:,} of {part.images:,} {name} images have no label")
        if not part.images:
            found.append(f"the {name} part is empty")
    if audit.label_conflicts:
        found.append(f"{audit.label_conflicts:,} images have an identical twin with other labels")
    return tuple(found)
