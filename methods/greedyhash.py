"""GreedyHash: fast optimisation for accurate hash coding in CNN (Su, Zhang, Han, Tian; NeurIPS 2018)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import magnitude_error, straight_sign
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod, StepwiseParams


class GreedyHashParams(StepwiseParams):
    """alpha: weight of mean | |u| - 1 |^power (0.1; 1 for ImageNet in the release)."""

    alpha: float = Field(default=0.1, ge=0)
    power: float = Field(default=3.0, ge=1)


class GreedyHash(StepwiseMethod):
    """Cross-entropy of W sign(u), gradients passed straight through the sign (algorithm 1, section 3.2).

    W has no bias, is part of `networks` and so is trained. Multi-label data use y / |y| as targets.
    """

    info = MethodInfo(
        name="greedyhash",
        title="GreedyHash",
        paper="Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN",
        year=2018,
        venue="NeurIPS",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("purple", "p", "dashdot"),
    )
    Params = GreedyHashParams
    params: GreedyHashParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd", lr=1e-3, weight_decay=5e-4, schedule="steps", drops=5 / 3, decay=0.1
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the classifier on codes."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes, bias=False)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on codes and the cubic pull towards +-1."""
        logits = self.networks["classifier"](straight_sign(outputs))
        return {
            "classification": classification_loss(logits, batch.labels),
            "quantisation": self.params.alpha * magnitude_error(outputs, self.params.power),
        }
