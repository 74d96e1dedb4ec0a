"""DSH: deep supervised hashing (Liu, Wang, Shan, Chen; CVPR 2016)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, squared_distances
from benchmark.methods._stepwise import Batch, Recipe


class DSHParams(PairwiseParams):
    """alpha: weight of the pull towards +-1; the margin is `margin_per_bit` * K (2K in the paper)."""

    alpha: float = Field(default=0.01, ge=0)
    margin_per_bit: float = Field(default=2.0, gt=0)


class DSH(PairwiseMethod):
    """Contrastive loss on squared distances with a penalty per image of a pair (eq. 4).

    Mean over pairs of 1/2 s d + 1/2 (1 - s) max(m - d, 0), d = |u_i - u_j|^2, plus
    alpha (| |u_i| - 1 |_1 + | |u_j| - 1 |_1), which is 2 alpha times the mean L1 norm over images.
    """

    info = MethodInfo(
        name="dsh",
        title="DSH",
        paper="Deep Supervised Hashing for Fast Image Retrieval",
        year=2016,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("blue", "<", "solid"),
    )
    Params = DSHParams
    params: DSHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-3, weight_decay=4e-3)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The contrastive term and the penalty."""
        others = self.partners(outputs, batch)
        distance = squared_distances(outputs, others.outputs)
        margin = self.params.margin_per_bit * outputs.shape[1]
        apart = (1 - others.similar) * (margin - distance).clamp(min=0)
        norms = (outputs.abs() - 1).abs().sum(dim=1)
        return {
            "pairwise": masked_mean(0.5 * (others.similar * distance + apart), others.mask),
            "quantisation": 2 * self.params.alpha * norms.mean(),
        }
