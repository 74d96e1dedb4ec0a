"""Distances to the nearest database code, and how well they tell foreign queries from own ones."""

from __future__ import annotations

import numpy as np

#: Distances held at a time.
_CELLS = 1 << 22


def nearest_distances(
    queries: np.ndarray,
    database: np.ndarray,
    query_ids: np.ndarray | None = None,
    database_ids: np.ndarray | None = None,
) -> np.ndarray:
    """int64 (queries,): the Hamming distance from each query to its nearest database code.

    queries, database: packed codes, uint8 (items, bytes). With ids, a query does not meet its own image.
    """
    if not len(database):
        raise ValueError("the database is empty: nothing is nearest")
    wide, other = _words(queries), _words(database)
    out = np.empty(len(wide), dtype=np.int64)
    step = max(1, _CELLS // len(other))
    for start in range(0, len(wide), step):
        stop = start + step
        block = sum(
            np.bitwise_count(wide[start:stop, None, word] ^ other[None, :, word]).astype(np.int64)
            for word in range(wide.shape[1])
        )
        block = np.asarray(block)
        if query_ids is not None and database_ids is not None:
            block[query_ids[start:stop, None] == database_ids[None]] = 8 * queries.shape[1] + 1
        out[start:stop] = block.min(axis=1)
    return out


def _words(codes: np.ndarray) -> np.ndarray:
    padded = np.zeros((len(codes), -(-codes.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : codes.shape[1]] = codes
    return padded.view(np.uint64)


def auroc(own: np.ndarray, foreign: np.ndarray) -> float:
    """The chance that a foreign distance exceeds an own one, ties counting half: exact, by counting.

    own, foreign: whole numbers >= 0, at least one each. 1: every foreign query lies farther; 0.5: no difference.
    """
    if not len(own) or not len(foreign):
        raise ValueError("AUROC needs distances on both sides")
    size = int(max(own.max(), foreign.max())) + 1
    mine, theirs = np.bincount(own, minlength=size), np.bincount(foreign, minlength=size)
    below = np.cumsum(mine) - mine
    twice = int((theirs * (2 * below + mine)).sum())
    return twice / (2 * len(own) * len(foreign))
