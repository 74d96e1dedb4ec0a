"""All triplets of a batch: anchor, positive (shares a label), negative (shares none)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.methods._pairs import off_diagonal, similarity


def triplet_mask(labels: Tensor) -> Tensor:
    """float32 (b, b, b): 1 at (a, p, n) where p is another image similar to a, and n is dissimilar to a."""
    similar = similarity(labels)
    positive = similar * off_diagonal(len(labels), labels.device)
    return positive[:, :, None] * (1 - similar)[:, None, :]


def anchor_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over each anchor's triplets, then over the anchors that have any; zero where none has.

    values and mask (b, b, b), indexed anchor, positive, negative.
    """
    counts = mask.sum(dim=(1, 2))
    per_anchor = (values * mask).sum(dim=(1, 2)) / counts.clamp(min=1)
    return per_anchor.sum() / (counts > 0).sum().clamp(min=1)


def differences(scores: Tensor) -> Tensor:
    """scores_ap - scores_an for all (a, p, n): (b, b) to (b, b, b)."""
    return torch.sub(scores[:, :, None], scores[:, None, :])
