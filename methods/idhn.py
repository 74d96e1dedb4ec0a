"""IDHN: improved deep hashing with soft pairwise similarity (Zhang, Zou, Lin, Chen, Wang; TMM 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softsign

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import cosine, masked_mean, pair_likelihood
from benchmark.methods._quantisers import magnitude_error
from benchmark.methods._stepwise import Batch, Recipe


class IDHNParams(PairwiseParams):
    """beta: scale of the hard pairs' logit; gamma: weight of the soft pairs; alpha: of the quantisation."""

    beta: float = Field(default=5.0, gt=0)
    gamma: float = Field(default=0.1, ge=0)
    alpha: float = Field(default=0.1, ge=0)


class IDHN(PairwiseMethod):
    """Soft similarity s = cos(y_i, y_j); codes softsign(v); the authors' release, with means over pairs.

    Hard pairs (s of 0 or 1): log(1 + e^z) - s z with z = beta <u_i, u_j> / K. Soft pairs: gamma K
    ((<u_i, u_j> + K) / 2K - s)^2. Plus alpha mean | |u| - 1 |. Single-label data have hard pairs alone.
    """

    info = MethodInfo(
        name="idhn",
        title="IDHN",
        paper="Improved Deep Hashing with Soft Pairwise Similarity for Multi-label Image Retrieval",
        year=2019,
        venue="TMM",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("blue", "*", "densely dotted"),
    )
    Params = IDHNParams
    params: IDHNParams
    #: The release halves the rate every 500 steps: 6.25 times in its 100 epochs of 4,000 images, batch 128.
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="adam", lr=1e-3, backbone_factor=0.01, schedule="steps", drops=6.25, decay=0.5
    )

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of hard pairs, regression of soft pairs, quantisation."""
        p, bits = self.params, outputs.shape[1]
        codes = softsign(outputs)
        others = self.partners(codes, batch)
        inner = codes @ others.outputs.T
        soft = cosine(batch.labels, others.labels)
        hard = ((soft > 0.99) | (soft < 0.01)).float()
        entropy = pair_likelihood(p.beta * inner / bits, torch.round(soft))
        regression = p.gamma * bits * ((inner + bits) / (2 * bits) - soft).square()
        return {
            "hard": masked_mean(entropy * hard, others.mask),
            "soft": masked_mean(regression * (1 - hard), others.mask),
            "quantisation": p.alpha * magnitude_error(codes),
        }
