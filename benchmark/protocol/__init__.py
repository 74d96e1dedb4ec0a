"""Everything the benchmark does to data: who is a query, who trains, whose label is shown.

Draws depend on the seed and the data set alone, never on the method, its parameters or what ran before.
"""

from __future__ import annotations

from benchmark.protocol.catalogue import CUSTOM_EXAMPLE, PROTOCOLS, custom_name, find, read_custom, resolve
from benchmark.protocol.classes import SEEN_SHARE, rows_of, seen_classes, unasked, unseen_classes
from benchmark.protocol.draws import draw
from benchmark.protocol.labels import TUNING_SHARE, describe_labels
from benchmark.protocol.noise import describe_noise
from benchmark.protocol.overlaps import id_overlaps, notes
from benchmark.protocol.rules import Protocol, Split

__all__ = [
    "CUSTOM_EXAMPLE",
    "PROTOCOLS",
    "SEEN_SHARE",
    "TUNING_SHARE",
    "Protocol",
    "Split",
    "custom_name",
    "describe_labels",
    "describe_noise",
    "draw",
    "find",
    "id_overlaps",
    "notes",
    "read_custom",
    "resolve",
    "rows_of",
    "seen_classes",
    "unasked",
    "unseen_classes",
]
