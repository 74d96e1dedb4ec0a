"""Codes without their bits, for folders that are committed: each query's score and digests take their place.

The codes of 60,000 images are a hundred times the size of what a test of significance reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.spec import FitSpec

#: Average precision of each query under the record's rules, float32 (queries,), NaN where one was skipped. Seven
#: digits are more than a test of significance needs, and these numbers are most of a committed folder.
QUERY_AP = "query_ap"
#: SHA-256 of each of the arrays that were left out, in the order of `LEFT_OUT`: uint8 (4, 32). Older files left the
#: query codes in and have three.
DIGESTS = "database_sha256"
LEFT_OUT = ("database_ids", "database_labels", "database_codes", "query_codes")


def is_thin(codes: Mapping[str, np.ndarray]) -> bool:
    """Whether the database side was left out."""
    return QUERY_AP in codes and "database_codes" not in codes


def thin(codes: Mapping[str, np.ndarray], precisions: NDArray[np.float64]) -> dict[str, np.ndarray]:
    """Whole or thin codes with `precisions` (queries,) and digests in the place of what is left out."""
    gone = (
        *LEFT_OUT,
        "neighbour_offsets",
        "neighbour_rows",
    )  # the latter are of the data, and made again from them
    kept = {name: array for name, array in codes.items() if name not in gone}
    return {**kept, QUERY_AP: precisions.astype(np.float32), DIGESTS: digests(codes)}


def digests(codes: Mapping[str, np.ndarray]) -> NDArray[np.uint8]:
    """`DIGESTS` of whole or thin codes: equal for equal shapes and values, whatever the width of the integers."""
    stored = codes.get(DIGESTS, np.empty((0, 32), dtype=np.uint8))
    rows = [_digest(codes[name]) for name in LEFT_OUT if name in codes]
    return np.concatenate([stored, *(row[None] for row in rows)])


def _digest(array: np.ndarray) -> NDArray[np.uint8]:
    array = np.ascontiguousarray(array, dtype="<i8")
    return np.frombuffer(
        hashlib.sha256(repr(array.shape).encode() + array.tobytes()).digest(), dtype=np.uint8
    )


def same_digests(codes: Mapping[str, np.ndarray], whole: Mapping[str, np.ndarray]) -> dict[str, bool]:
    """Name of each array that `codes` leave out -> whether its digest is that of `whole`; {} for whole codes."""
    if not is_thin(codes):
        return {}
    left_out = [name for name in LEFT_OUT if name not in codes]
    stored, made = codes.get(DIGESTS, np.empty((0, 32))), digests(whole)[: len(left_out)]
    alike = stored.shape == made.shape
    return {name: alike and np.array_equal(stored[row], made[row]) for row, name in enumerate(left_out)}


def require_whole(codes: Mapping[str, np.ndarray], spec: FitSpec) -> None:
    """InputError when the database side was left out."""
    if is_thin(codes):
        raise InputError(
            f"codes of {spec.label} ({spec.fit_id}) have no database side: `compact` left it out; run the fit "
            "again, into another results folder"
        )
