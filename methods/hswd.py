"""HSWD: one loss for quantisation, on top of another method (Doan, Yang, Li; CVPR 2022)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods import csq, dhn, dpsh, dsdh, hashnet
from benchmark.methods._centres import bernoulli
from benchmark.methods._quantisers import assignment_wasserstein, component_wasserstein, sliced_wasserstein
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams

#: base -> its class and the parameters that switch its own quantisation off
_BASES: dict[str, tuple[type[StepwiseMethod], dict[str, Any]]] = {
    "hashnet": (hashnet.HashNet, {}),
    "dsdh": (dsdh.DSDH, {"quantise": False}),
    "dpsh": (dpsh.DPSH, {"eta": 0.0}),
    "dhn": (dhn.DHN, {"lambda_": 0.0}),
    "csq": (csq.CSQ, {"lambda_": 0.0}),
}


class HSWDParams(StepwiseParams):
    """`base`: whose loss is quantised, with that method's defaults, this `recipe` and its own quantisation off.

    `distance`: `hswd` matches the batch's outputs and fair random signs bit by bit (by sorting), `swd` along
    `directions` random directions, `ot` by an exact assignment of rows. alpha weighs it.
    """

    base: Literal["hashnet", "dsdh", "dpsh", "dhn", "csq"] = "hashnet"
    distance: Literal["hswd", "swd", "ot"] = "hswd"
    alpha: float = Field(default=0.1, ge=0)
    directions: int = Field(default=10_000, ge=1)


class HSWD(StepwiseMethod):
    """Base loss + alpha Q(U, R), R fair random signs of the batch's shape (eq. 8 and 11).

    Q acts on the raw outputs, as in the release, also where the base loss squashes them. The match depends on
    the batch size.
    """

    info = MethodInfo(
        name="hswd",
        title="HSWD",
        paper="One Loss for Quantization: Deep Hashing with Discrete Wasserstein Distributional Matching",
        year=2022,
        venue="CVPR",
        version=3,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("vermillion", "X", "densely dashed"),
    )
    Params = HSWDParams
    params: HSWDParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-5)
    base: StepwiseMethod

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The base's modules."""
        cls, changes = _BASES[self.params.base]
        self.base = cls(cls.Params(recipe=self.params.recipe, **changes))
        self.base.ctx = self.ctx
        return self.base.build(task)

    def begin(self, data: HashData) -> None:
        """Let the base set up; networks and buffers are shared with it."""
        self.base.networks, self.base.buffers = self.networks, self.buffers
        self.base.begin(data)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The base's terms and the Wasserstein distance to fair signs."""
        terms = self.base.loss(outputs, batch)
        return terms | {"wasserstein": self.params.alpha * self.distance(outputs, batch.step)}

    def distance(self, outputs: Tensor, step: int) -> Tensor:
        """Q for the outputs of update `step`."""
        n, bits = outputs.shape
        generator = self.ctx.device_generator("signs", step)
        target = bernoulli(n, bits, generator, outputs.device).to(outputs)
        if self.params.distance == "hswd":
            return component_wasserstein(outputs, target)
        if self.params.distance == "ot":
            return assignment_wasserstein(outputs, target)
        shape = (bits, self.params.directions)
        directions = torch.randn(shape, generator=generator, device=outputs.device)
        return sliced_wasserstein(outputs, target, nn.functional.normalize(directions, dim=0).to(outputs))
