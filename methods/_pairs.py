"""Pairwise pieces that many losses share: similarity, the stable likelihood, class-balance weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def similarity(labels: Tensor, other: Tensor | None = None) -> Tensor:
    """s_ij = 1 where two label vectors share a class, else 0: float32 (n, m)."""
    other = labels if other is None else other
    return (labels @ other.T > 0).float()


def pair_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """Elementwise -log P(s | theta) = log(1 + exp(theta)) - s theta, with P(1) = sigmoid(theta).

    softplus is computed as max(theta, 0) + log1p(exp(-|theta|)), so no theta overflows.
    """
    return softplus(theta, threshold=1e9) - similar * theta


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
