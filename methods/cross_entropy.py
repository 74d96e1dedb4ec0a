"""Cross-entropy and the sign: the floor for every supervised deep method, which papers leave out."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod


class CrossEntropy(StepwiseMethod):
    """Softmax cross-entropy of a linear classifier on the K real outputs; codes are their signs.

    Nothing asks the outputs to be binary. What a hashing loss gains is what it gains over this.
    """

    info = MethodInfo(
        name="cross-entropy",
        title="Cross-entropy",
        paper="None: a plain classifier with a K-unit bottleneck",
        year=2017,
        venue="none",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("vermillion", ">", "dashdot"),
    )
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-3, weight_decay=5e-4, schedule="cosine")

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and a linear classifier."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy alone."""
        return {"classification": classification_loss(self.networks["classifier"](outputs), batch.labels)}
