"""Rankings by outputs, alone or inside a Hamming distance, with items of equal scores averaged over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules
from benchmark.metrics.groups import Groups, average_precision
from benchmark.metrics.ties import Floats
from benchmark.scoring.codeset import CodeSet, Pair
from benchmark.scoring.convention_table import Convention
from benchmark.scoring.dense import ranked_lists, signed_pair

RADIUS = 2
_ROUNDING = 1e-12  # of the largest product


def rank_values(convention: Convention, pair: Pair, codes: CodeSet, rules: Rules) -> Floats:
    """Average precision (queries,), NaN where the convention skips the query; `pair` is what its `sign` makes."""
    values = np.full(len(pair[0]), np.nan)
    miss = 0.0 if convention.no_hit == "zero" else np.nan
    if convention.sort == "values":
        for query, products, relevant, limit in ranked_lists(_wide(pair), codes, rules):
            values[query] = _expected((-products,), relevant, limit, miss)
        return values
    outputs = _wide(signed_pair(codes, "none", 0))
    lists = ranked_lists(pair, codes, rules), ranked_lists(outputs, codes, rules)
    for (query, near, relevant, limit), (_, products, _, _) in zip(*lists):
        distance = (codes.bits - near) / 2
        if convention.sort == "ball":
            inside = distance <= RADIUS
            found = _expected((-products[inside],), relevant[inside], int(inside.sum()), miss)
            values[query] = found if inside.any() else 0.0
        else:
            kept = distance < (codes.bits if convention.sort == "rerank-near" else np.inf)
            keys = distance[kept], -products[kept]
            values[query] = _expected(keys, relevant[kept], min(limit, int(kept.sum())), miss)
    return values


def _wide(pair: Pair) -> Pair:
    queries, items = (one.astype(np.float64) for one in pair)
    return queries, items


def _expected(keys: Sequence[NDArray[Any]], relevant: NDArray[np.bool_], limit: int, miss: float) -> float:
    """Average precision of the first `limit`, by the first key, then the next; `miss` where none can be a hit.

    Scores that differ by no more than the rounding of a product are equal.
    """
    if not limit:
        return miss
    order = np.lexsort(keys[::-1])
    starts = np.zeros(len(order), dtype=bool)
    for key in keys:
        starts[1:] |= np.abs(np.diff(key[order])) > _ROUNDING * np.abs(key).max()
    group = np.cumsum(starts)
    size = np.bincount(group).astype(np.float64)[None]
    hits = np.bincount(group, relevant[order], minlength=size.shape[1]).astype(np.float64)[None]
    value, possible = average_precision(Groups(size, hits, hits), limit, "retrieved-in-k")
    return float(value[0]) if possible[0] else miss


def library_scores(pair: Pair, codes: CodeSet, rules: Rules) -> Floats:
    """What the installed torchmetrics gives for each query (queries,); InputError where it is not installed."""
    try:
        import torch
        from torchmetrics.functional.retrieval import retrieval_average_precision
    except ImportError:
        raise InputError("needs torchmetrics, which is not installed: pip install torchmetrics") from None
    values = np.zeros(len(pair[0]))
    for query, products, relevant, limit in ranked_lists(pair, codes, rules):
        if limit:
            told = torch.from_numpy(np.ascontiguousarray(products)), torch.from_numpy(relevant)
            values[query] = float(retrieval_average_precision(*told, top_k=limit))
    return values
