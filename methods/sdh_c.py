"""SDH-C: supervised deep hashing with a classifier (after Liong, Lu, Wang, Moulin, Zhou; CVPR 2015)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import sign_error
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod, StepwiseParams


class SDHCParams(StepwiseParams):
    """alpha: weight of the classification; `quantisation`, `variance`, `orthogonality`: of the other terms, as in
    the supplement of OrthoHash, which compares with this method.
    """

    alpha: float = Field(default=1.0, ge=0)
    quantisation: float = Field(default=1e-3, ge=0)
    variance: float = Field(default=1e-3, ge=0)
    orthogonality: float = Field(default=1e-3, ge=0)


class SDHC(StepwiseMethod):
    """Cross-entropy of a linear classifier on h = tanh(u), plus the three terms of the paper's unsupervised part.

    quantisation mean (h - sign h)^2 - variance / 2 mean h^2 + orthogonality mean (W W^T - I)^2, W the hash layer's
    weights (K, d). The classifier stands where the paper's SDH has the scatter between and within pairs. Means over
    images, bits and entries. (Not "Supervised Discrete Hashing", which is `sdh`.)
    """

    info = MethodInfo(
        name="sdh-c",
        title="SDH-C",
        paper="Deep Hashing for Compact Binary Codes Learning",
        year=2015,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("green", "p", "dashed"),
    )
    Params = SDHCParams
    params: SDHCParams
    #: That of OrthoHash's comparison.
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="adam",
        lr=1e-4,
        backbone_factor=0.1,
        weight_decay=5e-4,
        schedule="steps",
        drops=1.25,
        decay=0.1,
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the classifier on its squashed outputs."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Classification, quantisation, variance of bits, orthogonality of the hash layer."""
        p, codes = self.params, torch.tanh(outputs)
        weights = self.networks["hash"].head.weight
        gram = weights @ weights.T - torch.eye(len(weights)).to(weights)
        logits = self.networks["classifier"](codes)
        return {
            "classification": p.alpha * classification_loss(logits, batch.labels),
            "quantisation": p.quantisation * sign_error(codes),
            "variance": -p.variance / 2 * codes.square().mean(),
            "orthogonality": p.orthogonality * gram.square().mean(),
        }
