"""LCDSH: locality-constrained deep supervised hashing for image retrieval (Zhu, Gao; IJCAI 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, pair_likelihood
from benchmark.methods._quantisers import signs
from benchmark.methods._stepwise import Batch, Recipe


class LCDSHParams(PairwiseParams):
    """lambda_: weight of the locality term."""

    lambda_: float = Field(default=3.0, ge=0)


class LCDSH(PairwiseMethod):
    """Mean pairwise likelihood plus lambda mean (sigma(theta) - sigma(1/2 b_i^T b_j))^2, theta = 1/2 u_i^T u_j.

    The second term asks real outputs and codes for equal pair probabilities; its codes are constants for the
    gradient.
    """

    info = MethodInfo(
        name="lcdsh",
        title="LCDSH",
        paper="Locality-Constrained Deep Supervised Hashing for Image Retrieval",
        year=2017,
        venue="IJCAI",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("orange", "o", "dashed"),
    )
    Params = LCDSHParams
    params: LCDSHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="rmsprop", lr=1e-5, weight_decay=1e-5)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likelihood and the locality term over the pairs of the batch."""
        others = self.partners(outputs, batch)
        theta = outputs @ others.outputs.T / 2
        target = torch.sigmoid(signs(outputs) @ signs(others.outputs).T / 2)
        gap = (torch.sigmoid(theta) - target).square()
        return {
            "pairwise": masked_mean(pair_likelihood(theta, others.similar), others.mask),
            "locality": self.params.lambda_ * masked_mean(gap, others.mask),
        }
