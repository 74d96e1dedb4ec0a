"""Classification pieces that pointwise methods share."""

from __future__ import annotations

import torch
from torch import Tensor


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy against y / |y|, mean over images.

    For one-hot labels this is the ordinary cross-entropy. For multi-hot labels every active class counts
    equally; taking the argmax of a multi-hot row (the first class alone) is a known mistake.
    logits (n, classes), labels float (n, classes).
    """
    targets = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
    return -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
