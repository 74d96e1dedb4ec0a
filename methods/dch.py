"""DCH: deep Cauchy hashing for Hamming space retrieval (Cao, Long, Liu, Wang; CVPR 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import balance_weights, cosine
from benchmark.methods._stepwise import Batch, Recipe

#: Added to distances: coinciding dissimilar images would otherwise cost infinity.
_OFFSET = 1e-3


class DCHParams(PairwiseParams):
    """gamma: scale of the Cauchy distribution; lambda_: weight of the quantisation term."""

    gamma: float = Field(default=20.0, gt=0)
    lambda_: float = Field(default=0.1, ge=0)


class DCH(PairwiseMethod):
    """Weighted Cauchy cross-entropy with p = gamma / (gamma + d), d = K/2 (1 - cos(u_i, u_j)) (eq. 5 to 10).

    Mean of w [ s log(d / gamma) + log(1 + gamma / d) ], written as log(1 + d / gamma) for similar and
    log(1 + gamma / d) for dissimilar pairs, w = |S|/|S1| and |S|/|S0|; plus lambda mean log(1 + d(|u|, 1) / gamma).
    """

    info = MethodInfo(
        name="dch",
        title="DCH",
        paper="Deep Cauchy Hashing for Hamming Space Retrieval",
        year=2018,
        venue="CVPR",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("green", ">", "dashed"),
    )
    Params = DCHParams
    params: DCHParams
    #: The release's rate of 5e-3 is the backbone's; it multiplies the hash layer's gradient by ten.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=5e-2, backbone_factor=0.1)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The Cauchy cross-entropy and the Cauchy quantisation loss."""
        gamma = self.params.gamma
        others = self.partners(outputs, batch)
        distance = _distance(outputs, others.outputs)
        near, far = torch.log1p(distance / gamma), torch.log1p(gamma / distance)
        weights = balance_weights(others.similar, others.mask)
        values = weights * torch.where(others.similar > 0, near, far)
        ones = torch.ones_like(outputs[:1])
        polar = torch.log1p(_distance(outputs.abs(), ones) / gamma).mean()
        return {
            "pairwise": values.sum() / others.mask.sum().clamp(min=1),
            "quantisation": self.params.lambda_ * polar,
        }


def _distance(left: Tensor, right: Tensor) -> Tensor:
    """K/2 (1 - cos) for all pairs of rows, in [0.001, K + 0.001]."""
    return left.shape[1] / 2 * (1 - cosine(left, right)).clamp(min=0) + _OFFSET
