"""What lies in two parts of a split by its row numbers: counted for every record, noted where it matters."""

from __future__ import annotations

import itertools

import numpy as np

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import Protocol, Split


def id_overlaps(split: Split) -> dict[str, int]:
    """Images that two parts share, by row number: `query-database`, `query-train`, `train-database`."""
    train = np.concatenate([split.labelled, split.hidden, split.tuning, split.dropped])
    parts = {"query": split.query, "train": train, "database": split.database}
    return {
        f"{one}-{other}": len(np.intersect1d(parts[one], parts[other], assume_unique=True))
        for one, other in itertools.combinations(parts, 2)
    }


def notes(protocol: Protocol, info: DatasetInfo, split: Split) -> tuple[str, ...]:
    """What a reader of the number must know besides the protocol's line: for records and captions."""
    found, shared = [], id_overlaps(split)
    if protocol.overlapping:
        found.append(
            f"OVERLAP, as released: {shared['query-database']:,} of {len(split.query):,} queries and "
            f"{shared['train-database']:,} training images are in the database, "
            f"{shared['query-train']:,} queries train"
        )
    if protocol.note:
        found.append(protocol.note)
    if len(split.seen):
        names = ", ".join(info.classes[number] for number in split.seen)
        found.append(f"trained on {len(split.seen)} of {len(info.classes)} classes: {names}")
    return tuple(found)
