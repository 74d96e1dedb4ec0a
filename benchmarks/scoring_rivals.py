"""What people score codes with, each as a function from the same arrays to mAP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from benchmark.metrics import pack_codes

faiss.omp_set_num_threads(1)


@dataclass(frozen=True)
class Rival:
    """A name, a function, and the most queries it is timed on."""

    name: str
    run: Callable[..., float]
    queries: int


def faiss_index(packed: np.ndarray, bits: int) -> Any:
    index = faiss.IndexBinaryFlat(bits)
    index.use_heap = False  # counting sort: the faster way for a large k
    index.add(packed)
    return index


def faiss_search(index: Any, packed: np.ndarray, k: int, batch: int = 100) -> list[int]:
    """Search in batches, so that the results of all queries need not fit in memory."""
    return [len(index.search(packed[at : at + batch], k)[1]) for at in range(0, len(packed), batch)]


def relevance(label: Any, labels: np.ndarray) -> np.ndarray:
    return labels @ label > 0 if labels.ndim == 2 else labels == label


def precision(relevant: np.ndarray) -> float:
    """Average precision of one ranked list, divided by its hits."""
    ranks = np.flatnonzero(relevant) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0


def with_loop(queries, items, query_labels, item_labels, *, k, index) -> float:
    """The usual per-query loop: a matrix product, an argsort, average precision of the top k."""
    queries, items = queries.astype(np.float32), items.astype(np.float32)
    labels = item_labels.astype(np.float32) if item_labels.ndim == 2 else item_labels
    total = 0.0
    for code, label in zip(queries, query_labels):
        relevant = relevance(label, labels)
        order = np.argsort(0.5 * (items.shape[1] - items @ code))
        total += precision(relevant[order][:k])
    return total / len(queries)


def with_faiss(queries, items, query_labels, item_labels, *, k, index) -> float:
    """faiss finds the ranking, numpy scores it."""
    total, packed = 0.0, pack_codes(queries)
    labels = item_labels.astype(np.float32) if item_labels.ndim == 2 else item_labels
    for at in range(0, len(packed), 100):
        _, found = index.search(packed[at : at + 100], k or len(items))
        for order, label in zip(found, query_labels[at : at + 100]):
            total += precision(relevance(label, labels[order]))  # labels of what was found only
    return total / len(packed)


def with_sklearn(queries, items, query_labels, item_labels, *, k, index) -> float:
    """scikit-learn's average precision, one call a query; it knows no cut-off."""
    from sklearn.metrics import average_precision_score

    items = items.astype(np.float32)
    scores = (
        average_precision_score(relevance(label, item_labels), items @ code.astype(np.float32))
        for code, label in zip(queries, query_labels)
    )
    return float(np.mean(list(scores)))


def with_torchmetrics(queries, items, query_labels, item_labels, *, k, index) -> float:
    """torchmetrics' retrieval average precision, one call a query.

    It takes relevant items with a score of 0 or less for not relevant (torchmetrics 1.9), so inner products are
    moved above 0, which changes no order.
    """
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    torch.set_num_threads(1)
    items = torch.from_numpy(items.astype(np.float32))
    total = 0.0
    for code, label in zip(queries, query_labels):
        target = torch.from_numpy(relevance(label, item_labels))
        products = items @ torch.from_numpy(code.astype(np.float32))
        total += float(retrieval_average_precision(products + items.shape[1] + 1, target, top_k=k))
    return total / len(queries)


def comparable(value: float, scale: float) -> float:
    """The value, or NaN where it comes from fewer queries and so cannot be compared."""
    return value if scale == 1 else float("nan")


RIVALS = (
    Rival("faiss IndexBinaryFlat (use_heap=False) and numpy", with_faiss, 1_000),
    Rival("per-query loop", with_loop, 1_000),
    Rival("torchmetrics", with_torchmetrics, 40),
    Rival("scikit-learn (ties as a whole, no k)", with_sklearn, 40),
)
