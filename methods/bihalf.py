"""BiHalf as a layer under supervision (Li, van Gemert; AAAI 2021). The unsupervised method: `bihalf-u`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import half_half_layer
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod, StepwiseParams


class BiHalfParams(StepwiseParams):
    """gamma: strength of the pull of outputs towards their codes in the backward pass."""

    gamma: float = Field(default=6.0, ge=0)


class BiHalf(StepwiseMethod):
    """Cross-entropy of a linear classifier on half-half codes: each bit is +1 for half of the batch (eq. 6 to 8).

    Backward, g + gamma (U - B) / (N K). At test the code is the plain sign.
    """

    info = MethodInfo(
        name="bihalf",
        title="BiHalf",
        paper="Deep Unsupervised Image Hashing by Maximizing Bit Entropy",
        year=2021,
        venue="AAAI",
        version=2,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("black", "P", "dotted"),
    )
    Params = BiHalfParams
    params: BiHalfParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd", lr=1e-4, weight_decay=5e-4, schedule="steps", drops=2.5, decay=0.1
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the classifier on codes."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on the batch's half-half codes."""
        codes = half_half_layer(outputs, self.params.gamma)
        return {"classification": classification_loss(self.networks["classifier"](codes), batch.labels)}
