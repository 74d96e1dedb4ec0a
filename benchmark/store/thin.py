"""Codes without their bits, for folders that are committed: each query's score and digests take their place.

The codes of 60,000 images are a hundred times the size of what a test of significance reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.spec import FitSpec
from benchmark.store.formats import read_codes

#: Average precision of each query under the record's rules, float32 (queries,), NaN where one was skipped. Seven
#: digits are more than a test of significance needs, and these numbers are most of a committed folder.
QUERY_AP = "query_ap"
#: SHA-256 of each of the arrays that were left out, in the order of `LEFT_OUT`: uint8 (4, 32). Older files left the
#: query codes in and have three.
DIGESTS = "database_sha256"
LEFT_OUT = ("database_ids", "database_labels", "database_codes", "query_codes")
#: Ids and labels of the queries: all fits of a data set, protocol and seed share them, and a committed folder holds
#: them once, in a file below `FOLDER`.
SHARED = ("query_ids", "query_labels")
FOLDER = "queries"
#: Stands in their place: SHA-256 of them, uint8 (32,), whose first digits name the file.
QUERIES = "queries_sha256"


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


def shared_file(key: NDArray[np.uint8]) -> str:
    """Where the queries of that digest lie in a results folder."""
    return f"{FOLDER}/{bytes(key).hex()[:16]}.npz"


def apart(codes: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Thin codes with `QUERIES` in the place of `SHARED`, and what it stands for."""
    shared = {name: codes[name] for name in SHARED}
    rest = {name: array for name, array in codes.items() if name not in SHARED}
    return {**rest, QUERIES: _key(shared)}, shared


def together(codes: Mapping[str, np.ndarray], root: Path, what: str) -> dict[str, np.ndarray]:
    """What `apart` took apart, from the results folder `root`; other codes as they are.

    Raises InputError, which begins with `what`, where the queries' file is missing, unreadable or another's.
    """
    if QUERIES not in codes:
        return dict(codes)
    path = root / shared_file(codes[QUERIES])
    if not path.is_file():
        raise InputError(f"{what}: their queries are missing, {str(path)!r}; copy the whole results folder")
    shared = read_codes(path)
    if {*shared} != {*SHARED} or not np.array_equal(_key(shared), codes[QUERIES]):
        raise InputError(f"{what}: {str(path)!r} holds other queries")
    return {**{name: array for name, array in codes.items() if name != QUERIES}, **shared}


def _key(shared: Mapping[str, np.ndarray]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name in SHARED:
        array = np.ascontiguousarray(shared[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def require_whole(codes: Mapping[str, np.ndarray], spec: FitSpec) -> None:
    """InputError when the database side was left out."""
    if is_thin(codes):
        raise InputError(
            f"codes of {spec.label} ({spec.fit_id}) have no database side: `compact` left it out; run the fit "
            "again, into another results folder"
        )
