"""Everything the benchmark does to data: who is a query, who trains, whose label is shown.

Draws depend on the seed and the data set alone, never on the method, its parameters or what ran before.
"""

from __future__ import annotations

from benchmark.data.protocol.catalogue import CUSTOM_EXAMPLE, NEIGHBOURS_EXAMPLE, PROTOCOLS, find, resolve
from benchmark.data.protocol.class_splits import SEEN_SHARE, rows_of, seen_classes, unasked, unseen_classes
from benchmark.data.protocol.label_noise import describe_noise
from benchmark.data.protocol.label_shares import TUNING_SHARE, describe_labels
from benchmark.data.protocol.overlaps import id_overlaps, notes
from benchmark.data.protocol.protocol import Protocol, Split
from benchmark.data.protocol.split import draw

__all__ = [
    "CUSTOM_EXAMPLE",
    "NEIGHBOURS_EXAMPLE",
    "PROTOCOLS",
    "SEEN_SHARE",
    "TUNING_SHARE",
    "Protocol",
    "Split",
    "describe_labels",
    "describe_noise",
    "draw",
    "find",
    "id_overlaps",
    "notes",
    "resolve",
    "rows_of",
    "seen_classes",
    "unasked",
    "unseen_classes",
]
