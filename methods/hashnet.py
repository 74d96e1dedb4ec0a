"""HashNet: deep learning to hash by continuation (Cao, Long, Wang, Yu; ICCV 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._pairs import balance_weights, off_diagonal, pair_likelihood, similarity
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class HashNetParams(StepwiseParams):
    """Defaults are those of the authors' PyTorch release.

    alpha: scale of the inner product, alpha = `alpha_bits` / bits (10 / K). The tanh continuation is
    beta = (1 + `beta_growth` * i) ^ `beta_power`, i counted in the release's `beta_iterations` updates however
    long the budget is, and refreshed every `beta_every` of them.
    """

    alpha_bits: float = Field(default=10.0, gt=0)
    beta_growth: float = Field(default=0.005, ge=0)
    beta_power: float = Field(default=0.5, ge=0)
    beta_iterations: int = Field(default=10_000, ge=1)
    beta_every: int = Field(default=200, ge=1)
    jaccard: bool = Field(default=True, description="weight similar pairs by label overlap (multi-label)")


class HashNet(StepwiseMethod):
    """Weighted pairwise likelihood on tanh(beta u) with beta growing: eq. 2, 4 and algorithm 1.

    Two departures from the release, both on record: pairs are taken inside one batch, without the diagonal
    (the release crosses two independent batches), and class weights are the paper's |S|/|S1|, |S|/|S0| of
    the batch (the release multiplies by a constant that the user has to set per data set).
    """

    info = MethodInfo(
        name="hashnet",
        title="HashNet",
        paper="HashNet: Deep Learning to Hash by Continuation",
        year=2017,
        venue="ICCV",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("blue", "s", "dashed"),
    )
    Params = HashNetParams
    params: HashNetParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd",
        lr=3e-3,
        backbone_factor=0.1,
        nesterov=True,
        weight_decay=5e-4,
        schedule="halve-in-five",
    )

    def beta(self, progress: float) -> float:
        """The continuation parameter at a share `progress` of the budget: 1 at first, 7.14 at the end."""
        p = self.params
        iteration = int(progress * p.beta_iterations) // p.beta_every * p.beta_every
        return float((1 + p.beta_growth * iteration) ** p.beta_power)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Mean weighted negative log-likelihood over the pairs of the batch (eq. 4)."""
        codes = torch.tanh(self.beta(batch.progress) * outputs)
        similar = similarity(batch.labels)
        weights = balance_weights(similar, off_diagonal(len(codes), codes.device))
        if self.params.jaccard:
            weights = weights * _overlap(batch.labels, similar)
        theta = self.params.alpha_bits / codes.shape[1] * (codes @ codes.T)
        total = weights.sum().clamp(min=1e-12)
        return {"pairwise": (weights * pair_likelihood(theta, similar)).sum() / total}


def _overlap(labels: Tensor, similar: Tensor) -> Tensor:
    """c_ij: the Jaccard overlap of two label sets for similar pairs, 1 for dissimilar ones."""
    shared = labels @ labels.T
    sizes = labels.sum(1)
    union = sizes[:, None] + sizes[None, :] - shared
    return torch.where(similar > 0, shared / union.clamp(min=1), torch.ones_like(shared))
