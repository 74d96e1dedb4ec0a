"""Codes without their database side: each query's score and a digest stand for it, for folders that are committed.

The codes of 60,000 images are a hundred times the size of what a test of significance reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.spec import FitSpec

#: Average precision of each query under the record's rules, float64 (queries,), NaN where one was skipped.
QUERY_AP = "query_ap"
#: SHA-256 of each of the arrays that were left out, in the order of `LEFT_OUT`: uint8 (3, 32).
DIGESTS = "database_sha256"
LEFT_OUT = ("database_ids", "database_labels", "database_codes")


def is_thin(codes: Mapping[str, np.ndarray]) -> bool:
    """Whether the database side was left out."""
    return QUERY_AP in codes and "database_codes" not in codes


def thin(codes: Mapping[str, np.ndarray], precisions: NDArray[np.float64]) -> dict[str, np.ndarray]:
    """Codes with `precisions` (queries,) and digests in the place of the database side."""
    kept = {name: array for name, array in codes.items() if name not in LEFT_OUT}
    return {**kept, QUERY_AP: precisions, DIGESTS: digests(codes)}


def digests(codes: Mapping[str, np.ndarray]) -> NDArray[np.uint8]:
    """`DIGESTS` of whole codes: the same for equal shapes and values, whatever the width of the integers."""
    found = []
    for name in LEFT_OUT:
        array = np.ascontiguousarray(codes[name], dtype="<i8")
        found.append(hashlib.sha256(repr(array.shape).encode() + array.tobytes()).digest())
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(len(LEFT_OUT), -1)


def same_digests(codes: Mapping[str, np.ndarray], whole: Mapping[str, np.ndarray]) -> dict[str, bool]:
    """Name of each array that `codes` leave out -> whether its digest is that of `whole`; {} for whole codes."""
    if not is_thin(codes):
        return {}
    stored, made = codes.get(DIGESTS), digests(whole)
    alike = stored is not None and stored.shape == made.shape
    return {
        name: bool(alike and np.array_equal(stored[row], made[row]))  # type: ignore[index]
        for row, name in enumerate(LEFT_OUT)
    }


def require_whole(codes: Mapping[str, np.ndarray], spec: FitSpec) -> None:
    """InputError when the database side was left out."""
    if is_thin(codes):
        raise InputError(
            f"codes of {spec.label} ({spec.fit_id}) have no database side: `compact` left it out; run the fit "
            "again, into another results folder"
        )
