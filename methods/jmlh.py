"""JMLH: embarrassingly simple binary representation learning (Shen et al.; ICCV workshops 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import straight_bernoulli
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod, StepwiseParams


class JMLHParams(StepwiseParams):
    """lambda_: weight of the divergence from fair bits."""

    lambda_: float = Field(default=0.1, ge=0)


class JMLH(StepwiseMethod):
    """Cross-entropy of a classifier on Bernoulli codes q = sigma(u), plus lambda KL(Bern(q) | Bern(1/2)).

    The variational information bottleneck of the paper, as commonly described: codes are drawn with
    reparameterised noise and gradients pass straight through; the divergence is summed over bits and averaged
    over images. At test the code is the sign of u.
    """

    info = MethodInfo(
        name="jmlh",
        title="JMLH",
        paper="Embarrassingly Simple Binary Representation Learning",
        year=2019,
        venue="ICCV Workshops",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("sky blue", "^", "dashed"),
    )
    Params = JMLHParams
    params: JMLHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-4)

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the classifier on codes."""
        return {"hash": HashNetwork(task), "classifier": nn.Linear(task.bits, task.classes)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on drawn codes and the divergence."""
        noise = self.ctx.device_generator("bits", batch.step)
        draw = torch.rand(outputs.shape, generator=noise, device=outputs.device)
        codes = 2 * straight_bernoulli(torch.sigmoid(outputs), draw) - 1
        return {
            "classification": classification_loss(self.networks["classifier"](codes), batch.labels),
            "divergence": self.params.lambda_ * fair_divergence(outputs).sum(dim=1).mean(),
        }


def fair_divergence(logits: Tensor) -> Tensor:
    """KL(Bern(sigma(u)) | Bern(1/2)) per bit: log 2 - entropy, in [0, log 2]."""
    q = torch.sigmoid(logits)
    log_q, log_r = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
    return q * log_q + (1 - q) * log_r + torch.log(torch.tensor(2.0))
