"""DHN: deep hashing network for efficient similarity retrieval (Zhu, Long, Wang, Cao; AAAI 2016)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, pair_likelihood
from benchmark.methods._quantisers import log_cosh_error
from benchmark.methods._stepwise import Batch, Recipe


class DHNParams(PairwiseParams):
    """lambda_: weight of the quantisation loss."""

    lambda_: float = Field(default=0.1, ge=0)


class DHN(PairwiseMethod):
    """Mean pairwise likelihood with theta = 1/2 h_i^T h_j, plus lambda mean log cosh(|h| - 1) (eq. 3 and 8).

    h = tanh(u) is the paper's hash layer; its sign is that of u, which `encode` gives.
    """

    info = MethodInfo(
        name="dhn",
        title="DHN",
        paper="Deep Hashing Network for Efficient Similarity Retrieval",
        year=2016,
        venue="AAAI",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("vermillion", "*", "dashdotdotted"),
    )
    Params = DHNParams
    params: DHNParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=5e-4, backbone_factor=0.1)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likelihood of the batch's pairs, and the bimodal Laplacian prior's smooth surrogate."""
        codes = torch.tanh(outputs)
        others = self.partners(codes, batch)
        theta = codes @ others.outputs.T / 2
        return {
            "pairwise": masked_mean(pair_likelihood(theta, others.similar), others.mask),
            "quantisation": self.params.lambda_ * log_cosh_error(codes),
        }
