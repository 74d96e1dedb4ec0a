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
    valid: (m,), 1 where c- shares no label with c+. weights: (2m,), of the negative phase; None: equal ones.
    """

    images: Tensor
    initial: Tensor
    labels: Tensor
    valid: Tensor
    weights: Tensor | None = None

    @property
    def count(self) -> int:
        """m, the number of pairs."""
        return len(self.valid)


@dataclass(frozen=True)
class Hidden:
    """Images (u, channels, height, width) whose labels are hidden, and label sets they may have (m, classes)."""

    images: Tensor
    candidates: Tensor


#: Label sets at a time whose c- are weighed.
CHUNK = 256


class LabelPool:
    """The distinct label sets of a training set, and how often each occurs."""

    def __init__(self, labels: Tensor) -> None:
        rows, counts = torch.unique(labels.cpu(), dim=0, return_counts=True)
        self.rows, self.counts = rows.float(), counts.float()
        balance = (
            self._balanced()
        )  # on the CPU: an update must not wait for the device to say whether there is one
        self.rows, self.counts = self.rows.to(labels.device), self.counts.to(labels.device)
        self.balance = None if balance is None else balance.to(labels.device)

    def _balanced(self) -> Tensor | None:
        """2 p / (p + q) of each set, at most 2: p its share of the data, q of all c-; None where p = q."""
        share, drawn = self.counts / self.counts.sum(), torch.zeros_like(self.counts)
        for rows, part in zip(self.rows.split(CHUNK), share.split(CHUNK), strict=True):
            chances, _ = self._chances(rows)
            drawn += (part / chances.sum(1)) @ chances
        even = torch.allclose(share, drawn, rtol=1e-4, atol=0)
        return None if even else 2 * share / (share + drawn)

    def weights(self, labels: Tensor) -> Tensor | None:
        """Weights (n,) of a pair's label sets (n, classes) with which its label marginal is the data's.

        c+ follows the data and c- does not: a frequent class is seldom unlike an image. None: equal weights do.
        """
        if self.balance is None:
            return None
        differ = labels.sum(1)[:, None] + self.rows.sum(1) - 2 * labels @ self.rows.T
        return self.balance[differ.argmin(dim=1)]

    def _chances(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """How likely each set of the pool is to be c- of `labels` (m, classes), up to a factor a row: (m, sets).

        And (m,), whether any set qualifies.
        """
        shared = labels @ self.rows.T
        weights = (shared == 0).float() * self.counts
        valid = weights.sum(1) > 0
        fewest = (shared == shared.min(dim=1, keepdim=True).values).float() * self.counts
        return torch.where(valid[:, None], weights, fewest), valid

    def negatives(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a c- for each row of `labels` (m, classes), a set of the pool that shares no label with it.

        `generator` draws where the labels are.

        Returns c- (m, classes) and a mask (m,). Where no set of the pool qualifies (one class only, or an
        image with every label), the set that shares fewest stands in and the mask is 0.
        """
        weights, valid = self._chances(labels)
        # As `multinomial` draws, which on a GPU waits for the device to check the weights.
        chosen = (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax(dim=1)
        return self.rows[chosen], valid.float()

    def candidates(self, limit: int, generator: torch.Generator) -> Tensor:
        """At most `limit` distinct label sets (m, classes), for images whose label is hidden."""
        chosen = torch.randperm(len(self.rows), generator=generator)[:limit]
        return self.rows[on_device(chosen, self.rows.device)]
