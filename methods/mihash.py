"""MIHash: hashing with mutual information (Cakir, He, Bargal, Sclaroff; ICCV 2017, in batches TPAMI 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._pairs import off_diagonal, similarity
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class MIHashParams(StepwiseParams):
    """`bins` of the histograms of distances; None takes K/2, as the release does. `sharpness` a of the relaxed code
    2 sigma(a u) - 1.
    """

    bins: int | None = Field(default=None, ge=1)
    sharpness: float = Field(default=1.0, gt=0)


class MIHash(StepwiseMethod):
    """Maximise I(D; C) = H(D) - H(D | C), mean over the images of the batch.

    D is the distance (K - h_i^T h_j) / 2 from an image to the others of its batch, C whether they share a label.
    Histograms have centres at 0, K/bins, ..., K; a distance counts for the two next to it, linearly. Entropies are
    in bits. An image that all or none of the others are similar to has no information to give, and no gradient.
    """

    info = MethodInfo(
        name="mihash",
        title="MIHash",
        paper="Hashing with Mutual Information",
        year=2019,
        venue="TPAMI",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("black", "*", "dashed"),
    )
    Params = MIHashParams
    params: MIHashParams
    #: The release's commands for CIFAR-10: one rate for all layers, halved after half of the epochs.
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd", lr=1e-3, weight_decay=5e-4, schedule="steps", drops=2.0, decay=0.5
    )

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The negative mutual information."""
        bits = outputs.shape[1]
        codes = torch.tanh(self.params.sharpness * outputs / 2)
        others = off_diagonal(len(outputs), outputs.device)
        similar = similarity(batch.labels) * others
        bins = self.params.bins or max(1, bits // 2)
        counts = soft_histogram(
            (bits - codes @ codes.T) / 2, bits, bins, torch.stack([similar, others - similar])
        )
        return {"information": -mutual_information(counts).mean()}


def soft_histogram(distances: Tensor, bits: int, bins: int, weights: Tensor) -> Tensor:
    """Each row's weighted counts of distances (n, m) in [0, bits] around bins + 1 centres: (w, n, bins + 1).

    weights (w, n, m). A distance between two centres is shared by them, so that counts add up to the weights.
    """
    width = bits / bins
    shares = [(1 - (distances - centre * width).abs() / width).clamp(min=0) for centre in range(bins + 1)]
    return torch.stack([(weights * share).sum(dim=2) for share in shares], dim=2)


def mutual_information(counts: Tensor) -> Tensor:
    """I(D; C) in bits of each row, from its counts (2, n, bins) for similar and other images; 0 without either."""
    total = counts.sum(dim=(0, 2)).clamp(min=1e-12)
    kinds = counts.sum(dim=2)
    conditional = counts / kinds.clamp(min=1e-12)[:, :, None]
    within = (kinds / total * _entropy(conditional)).sum(dim=0)
    return (_entropy(counts.sum(dim=0) / total[:, None]) - within) * (kinds > 0).all(dim=0)


def _entropy(shares: Tensor) -> Tensor:
    """-sum p log2 p over the last dimension; an empty bin adds nothing, its logarithm has no gradient."""
    return -(shares * torch.where(shares > 0, shares, torch.ones_like(shares)).log2()).sum(dim=-1)
