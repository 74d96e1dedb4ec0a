"""Leaks: what query, database and training part share, by id and by pixels, and what is wrong with their labels."""

from __future__ import annotations

import logging

import numpy as np

from benchmark.data import protocol
from benchmark.data.audit.facts import Audit, Overlap, PartFacts, findings, overlaps, part_facts, twins
from benchmark.data.audit.lists import audit_lists, list_files
from benchmark.data.audit.pixels import CONTRAST, LEVELS, THUMBNAIL, VECTORS_APART, for_a_run, pixel_facts
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Protocol, Split

__all__ = [
    "Audit",
    "Overlap",
    "PartFacts",
    "audit_data",
    "audit_lists",
    "check_run",
    "list_files",
    "near_rule",
]

log = logging.getLogger(__name__)


def near_rule(inputs: str = "images") -> str:
    """What counts as a near duplicate, in words."""
    if inputs == "vectors":
        return f"near duplicates: vectors at most {VECTORS_APART:.0%} of the shorter one's length apart"
    return (
        f"near duplicates: {THUMBNAIL}x{THUMBNAIL} thumbnails that differ by at most {LEVELS:g} of 255 grey levels "
        f"(root mean square) and {CONTRAST:.0%} of their contrast"
    )


def audit_data(data: LoadedDataset, rule: Protocol, seed: int, *, near: bool = True) -> Audit:
    """Audit a data set under a protocol for one seed. Raises InputError when the protocol cannot be drawn."""
    split = protocol.draw(rule, data.info, data.labels, seed, parts=data.parts)
    parts, pixels = _parts(split), pixel_facts(data, near=near)
    identical, conflicts = twins(pixels.digests, data.labels)
    used = len(np.unique(np.concatenate(list(parts.values()))))
    audit = Audit(
        subject=f"{data.info.name}, seed {seed}",
        protocol=rule.describe(),
        images=len(data.labels),
        shape=tuple(data.images.shape[1:]),
        parts={name: part_facts(rows, data.labels, data.info.classes) for name, rows in parts.items()},
        distinct=used,
        overlaps=overlaps(parts, pixels, lambda row: str(data.names[row]), _expected(rule)),
        pixels="compared",
        identical=identical,
        label_conflicts=conflicts,
        near_pairs=None if pixels.near is None else len(pixels.near),
        notes=protocol.notes(rule, data.info, split),
    )
    return audit.model_copy(update={"findings": findings(audit)})


def check_run(data: LoadedDataset, split: Split, rule: Protocol) -> tuple[dict[str, int], tuple[str, ...]]:
    """What a fit's record keeps: counts of overlaps (images of the first part), and warnings of undeclared ones.

    Keys are `query-database`, `query-train`, `train-database` by row number, and the same with `-pixels` for
    identical pixels in another row, once those are known (a data set of up to 1 GiB is looked at once).
    """
    counts = protocol.id_overlaps(split)
    warnings, parts = list[str](), _parts(split)
    pixels = for_a_run(data)
    if pixels is not None:
        found = overlaps(parts, type(pixels)(pixels.digests), lambda row: str(data.names[row]))
        for one in found:
            if one.by == "pixels":
                counts[f"{one.one}-{one.other}-pixels"] = one.images_of_one
    for key, count in counts.items():
        first, second, *by = key.split("-")
        declared = rule.overlapping and not by  # the protocol's own note says it
        if count and not declared and first == "query":
            what = "pixel for pixel, under another name" if by else "the same image"
            text = f"audit: {count:,} of {len(parts[first]):,} queries are in the {second} part too ({what})"
            warnings.append(text)
            log.warning("%s, %s", data.info.name, text)
    return counts, tuple(warnings)


def _parts(split: Split) -> dict[str, np.ndarray]:
    train = np.concatenate([split.labelled, split.hidden, split.tuning, split.dropped])
    return {"query": split.query, "train": np.sort(train), "database": split.database}


def _expected(rule: Protocol) -> frozenset[tuple[str, str, str]]:
    """The overlaps that a protocol's own line states: training images inside the database."""
    inside = rule.database in ("all-but-query", "train") or (rule.database == "listed" and not rule.disjoint)
    return frozenset(("train", "database", by) for by in ("id", "pixels", "near") if inside)
