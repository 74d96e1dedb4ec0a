"""DPN: deep polarized network (Fan, Ng, Ju, Zhang, Chan; IJCAI 2020)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._centres import balanced_centres, bernoulli_centres, spread_centres
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class DPNParams(StepwiseParams):
    """margin m of the hinge; how the class targets are drawn: fair signs, far-spread signs, or signs with exactly
    floor(`share` * K) entries -1.
    """

    margin: float = Field(default=1.0, gt=0)
    targets: Literal["bernoulli", "spread", "balanced"] = "bernoulli"
    share: float = Field(default=0.5, ge=0, le=1)


class DPN(StepwiseMethod):
    """Polarisation loss: sum over bits of max(m - u_k t_k, 0), mean over images (eq. 3).

    t is the random target of the image's class; with several classes the losses of all of them are added, as an
    author's own re-implementation does.
    """

    info = MethodInfo(
        name="dpn",
        title="DPN",
        paper="Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes",
        year=2020,
        venue="IJCAI",
        version=2,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("orange", "s", "densely dashed"),
    )
    Params = DPNParams
    params: DPNParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-4, weight_decay=5e-4)

    def begin(self, data: HashData) -> None:
        """Draw the targets once per run."""
        generator = self.ctx.generator("targets")
        classes, bits = data.task.classes, data.task.bits
        if self.params.targets == "balanced":
            targets = balanced_centres(classes, bits, generator, self.params.share)
        elif self.params.targets == "spread":
            targets = spread_centres(classes, bits, generator)
        else:
            targets = bernoulli_centres(classes, bits, generator)
        self.buffers["targets"] = targets.to(self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The polarisation loss over every active class."""
        targets = self.buffers["targets"].to(outputs)
        hinge = (self.params.margin - outputs[:, None, :] * targets[None]).clamp(min=0).sum(dim=2)
        return {"polarisation": (hinge * batch.labels).sum(dim=1).mean()}
