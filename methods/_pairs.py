"""Pairwise pieces that many losses share: similarity, the stable likelihood, class-balance weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize


def similarity(labels: Tensor, other: Tensor | None = None) -> Tensor:
    """s_ij = 1 where two label vectors share a class, else 0: float32 (n, m)."""
    other = labels if other is None else other
    return (labels @ other.T > 0).float()


def pair_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """Elementwise -log P(s | theta) = log(1 + exp(theta)) - s theta, with P(1) = sigmoid(theta).

    log(1 + exp(theta)) is computed as -log sigmoid(-theta), which overflows for no theta.
    """
    return -logsigmoid(-theta) - similar * theta


def balance_weights(similar: Tensor, mask: Tensor) -> Tensor:
    """HashNet's weights (its eq. 2): |S|/|S1| for similar and |S|/|S0| for dissimilar pairs, 0 outside `mask`.

    A batch without one kind of pair gives that kind no weight instead of an infinite one.
    """
    positive = (similar * mask).sum()
    total = mask.sum()
    negative = total - positive
    weights = similar * (total / positive.clamp(min=1)) + (1 - similar) * (total / negative.clamp(min=1))
    return weights * mask


def off_diagonal(n: int, device: torch.device) -> Tensor:
    """float32 (n, n): 1 everywhere but on the diagonal (an image paired with itself says nothing)."""
    return 1 - torch.eye(n, device=device)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is 1; zero (and still differentiable) when it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """||l_i - r_j||^2 for rows: (n, K) and (m, K) to (n, m), through inner products (no n x m x K tensor)."""
    cross = left @ right.T
    return (left.square().sum(1)[:, None] + right.square().sum(1)[None, :] - 2 * cross).clamp(min=0)


def cosine(left: Tensor, right: Tensor) -> Tensor:
    """Cosine similarities of rows: (n, K) and (m, K) to (n, m) in [-1, 1]; a zero row gives zeros."""
    return normalize(left, dim=1) @ normalize(right, dim=1).T


class SignedSimilarity:
    """The n x n matrix S with +1 for similar and -1 for dissimilar pairs, never formed.

    S_ij depends on the label sets of i and j alone, so rows with equal label sets are gathered: with P
    distinct sets, S X costs O(n K + P^2 K) instead of O(n^2 K). `pattern` (n,) names each row's set and
    `table` (P, P) holds the signs between sets, float64.
    """

    def __init__(self, labels: Tensor) -> None:
        unique, self.pattern = torch.unique(labels, dim=0, return_inverse=True)
        self.table = 2.0 * similarity(unique.float()).double() - 1.0

    def gather(self, matrix: Tensor) -> Tensor:
        """Sum the rows (n, K) of each label set: (P, K)."""
        sums = matrix.new_zeros(len(self.table), matrix.shape[1])
        return sums.index_add_(0, self.pattern, matrix)

    def __matmul__(self, matrix: Tensor) -> Tensor:
        """S X for X (n, K), in X's precision."""
        return (self.table.to(matrix) @ self.gather(matrix))[self.pattern]
