"""What an update draws beside the labelled batch: contrastive pairs, and images without a label.

A contrastive pair is made of one z, the image's own label c+ and a different one, c-. Stated by the paper's
summary: the pair shares its latent content and differs in its label. Chosen here: c- is drawn from the
training set's label sets in proportion to how often they occur.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.methods._images import on_device


@dataclass(frozen=True)
class Pair:
    """Both members of m contrastive pairs in one batch, positives first.

    images: (2m, channels, height, width), what the descriptor sees, without a graph. initial: the generator's
    output they came from, with its graph where the generator learns from it directly. labels: (2m, classes).
    valid: (m,), 1 where c- shares no label with c+.
    """

    images: Tensor
    initial: Tensor
    labels: Tensor
    valid: Tensor

    @property
    def count(self) -> int:
        """m, the number of pairs."""
        return len(self.valid)


@dataclass(frozen=True)
class Hidden:
    """Images (u, channels, height, width) whose labels are hidden, and label sets they may have (m, classes)."""

    images: Tensor
    candidates: Tensor


class LabelPool:
    """The distinct label sets of a training set, and how often each occurs."""

    def __init__(self, labels: Tensor) -> None:
        rows, counts = torch.unique(labels.cpu(), dim=0, return_counts=True)
        self.rows = rows.float().to(labels.device)
        self.counts = counts.float().to(labels.device)

    def negatives(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a c- for each row of `labels` (m, classes), a set of the pool that shares no label with it.

        `generator` draws where the labels are.

        Returns c- (m, classes) and a mask (m,). Where no set of the pool qualifies (one class only, or an
        image with every label), the set that shares fewest stands in and the mask is 0.
        """
        shared = labels @ self.rows.T
        weights = (shared == 0).float() * self.counts
        valid = weights.sum(1) > 0
        fewest = (shared == shared.min(dim=1, keepdim=True).values).float() * self.counts
        weights = torch.where(valid[:, None], weights, fewest)
        # As `multinomial` draws, which on a GPU waits for the device to check the weights.
        chosen = (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax(dim=1)
        return self.rows[chosen], valid.float()

    def candidates(self, limit: int, generator: torch.Generator) -> Tensor:
        """At most `limit` distinct label sets (m, classes), for images whose label is hidden."""
        chosen = torch.randperm(len(self.rows), generator=generator)[:limit]
        return self.rows[on_device(chosen, self.rows.device)]
