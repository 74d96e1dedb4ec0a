"""GreedyHash without labels (Su, Zhang, Han, Tian; NeurIPS 2018, section 4.3)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._quantisers import magnitude_error, straight_sign
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe
from benchmark.methods._unsupervised import ReferenceMethod, ReferenceParams


class GreedyHashUParams(ReferenceParams):
    """alpha: weight of mean | |u| - 1 |^power."""

    alpha: float = Field(default=0.1, ge=0)
    power: float = Field(default=3.0, ge=1)


class GreedyHashU(ReferenceMethod):
    """MSE between cosine similarities of codes and of frozen features, codes by the straight-through sign.

    Pairs are (first half, second half) of the batch; an odd image is left out.
    """

    info = MethodInfo(
        name="greedyhash-u",
        title="GreedyHash (unsupervised)",
        paper="Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN",
        year=2018,
        venue="NeurIPS",
        version=3,
        labels=("single", "multi"),
        supervision="unsupervised",
        look=("green", "o", "densely dashed"),
    )
    Params = GreedyHashUParams
    params: GreedyHashUParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-4, weight_decay=5e-4, backbone_factor=0.0)

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the frozen reference."""
        return {"hash": HashNetwork(task), "reference": self.reference_module(task)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Copied similarities and the cubic pull towards +-1."""
        return {
            "similarity": self.similarity_error(straight_sign(outputs), batch.images),
            "quantisation": self.params.alpha * magnitude_error(outputs, self.params.power),
        }
