"""DSHSD: deep supervised hashing based on stable distribution (Wu, Ling, Li, Chen, Fang, Zou; IEEE Access 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, squared_distances
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe


class DSHSDParams(PairwiseParams):
    """alpha: weight of the contrastive term; the margin is `margin_per_bit` * K (2K in the paper)."""

    alpha: float = Field(default=0.05, ge=0)
    margin_per_bit: float = Field(default=2.0, gt=0)


class DSHSD(PairwiseMethod):
    """Classification of h = tanh(u) by a linear layer, plus alpha times a contrastive loss on h.

    Contrastive: mean over pairs of 1/2 s d + 1/2 (1 - s) max(m - d, 0), d = |h_i - h_j|^2. Classification: softmax
    cross-entropy for single labels, and for multi-label data the sum over classes of the sigmoid's (eq. 8). The
    layer has no bias and is trained; the public port leaves it out of its optimiser.
    """

    info = MethodInfo(
        name="dshsd",
        title="DSHSD",
        paper="Deep Supervised Hashing Based on Stable Distribution",
        year=2019,
        venue="IEEE Access",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("purple", "v", "dashed"),
    )
    Params = DSHSDParams
    params: DSHSDParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-5)

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the classifier of its squashed outputs."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes, bias=False)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Both terms."""
        codes = torch.tanh(outputs)
        others = self.partners(codes, batch)
        distance = squared_distances(codes, others.outputs)
        margin = self.params.margin_per_bit * outputs.shape[1]
        apart = (1 - others.similar) * (margin - distance).clamp(min=0)
        contrast = masked_mean(0.5 * (others.similar * distance + apart), others.mask)
        return {
            "classification": self._classification(self.networks["classifier"](codes), batch.labels),
            "pairwise": self.params.alpha * contrast,
        }

    def _classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        if not self.ctx.task.multi_label:
            return classification_loss(logits, labels)
        return binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()
