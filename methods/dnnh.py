"""DNNH: simultaneous feature learning and hash coding (Lai, Pan, Liu, Yan; CVPR 2015)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._backbones import build_backbone
from benchmark.methods._networks import CHUNK, CalibratedNetwork
from benchmark.methods._pairs import squared_distances
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams
from benchmark.methods._triplets import anchor_mean, differences, triplet_mask


class DNNHParams(StepwiseParams):
    """margin of the triplet hinge; epsilon of the piece-wise threshold (ours: the paper leaves it to
    validation); `slice_width` features feed each bit.
    """

    margin: float = Field(default=1.0, gt=0)
    epsilon: float = Field(default=0.45, gt=0, le=0.5)
    slice_width: int = Field(default=50, ge=1)


class DivideAndEncode(CalibratedNetwork):
    """Backbone, `slice_width` * K features, and for each slice one unit and a sigmoid (section 3.2).

    Outputs are s - 1/2 in [-1/2, 1/2], so that the sign is the code. The paper's trunk is a network in network;
    here it is the shared backbone, as in the comparisons that later papers make.

    `slowed` keeps 1 / sqrt(d) of the slices' weights outside of them: the same outputs at first, and each update
    moves them that much less. Adam's equal steps need it (all slices else saturate at once); under SGD, whose steps
    shrink with the gradient, it would leave the layer untrained.
    """

    def __init__(self, task: Task, width: int, slowed: bool) -> None:
        super().__init__()
        self.backbone = build_backbone(task)
        self.features = nn.Linear(self.backbone.features, width * task.bits)
        deviation = self.backbone.features**-0.5
        self.scale = deviation if slowed else 1.0
        nn.init.normal_(self.features.weight, std=deviation / self.scale)
        nn.init.zeros_(self.features.bias)
        self.units = nn.Parameter(torch.randn(task.bits, width) * width**-0.5)
        self.offsets = nn.Parameter(torch.zeros(task.bits))
        self.register_buffer("centre", torch.zeros(self.backbone.features))
        self.centre: Tensor

    @torch.no_grad()
    def calibrate(self, images: Tensor, spread: float) -> None:
        """Centre the features; scale each slice so that its input to the sigmoid deviates by 1."""
        training = self.training
        self.eval()
        parts = images.split(CHUNK)
        self.centre.copy_(torch.cat([self.backbone(part).float() for part in parts]).mean(dim=0))
        logits = torch.cat([self.logits(part).float() for part in parts])
        self.units.div_(logits.std(dim=0).clamp(min=1e-6)[:, None])
        self.train(training)

    def logits(self, images: Tensor) -> Tensor:
        """The inputs of the sigmoids, (n, bits)."""
        centred = (self.backbone(images) - self.centre) * self.scale
        slices = self.features(centred).unflatten(1, self.units.shape)
        return cast(Tensor, (slices * self.units).sum(dim=2) + self.offsets)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to (n, bits) in [-1/2, 1/2]."""
        return torch.sigmoid(self.logits(images)) - 0.5


class DNNH(StepwiseMethod):
    """Triplet hinge max(0, |F(a) - F(p)|^2 - |F(a) - F(n)|^2 + 1) on codes in [0, 1]^K (eq. 4).

    F is the sigmoid output after the piece-wise threshold: 0 below 1/2 - epsilon, 1 above 1/2 + epsilon, the
    identity (and the only gradient) between. All triplets of the batch.
    """

    info = MethodInfo(
        name="dnnh",
        title="DNNH",
        paper="Simultaneous Feature Learning and Hash Coding with Deep Neural Networks",
        year=2015,
        venue="CVPR",
        version=2,
        labels=("single", "multi"),
        supervision="triplet",
        known_failures={
            "constant-bits": "the hinge is met by a few bits; nothing in the loss keeps the others from saturating"
        },
        look=("sky blue", "*", "dashdot"),
    )
    Params = DNNHParams
    params: DNNHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-3, weight_decay=5e-4)

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The divide-and-encode network."""
        return {
            "hash": DivideAndEncode(task, self.params.slice_width, slowed=self.recipe().optimizer == "adam")
        }

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The triplet ranking loss; distances do not see the shift by 1/2."""
        codes = piecewise_threshold(outputs, self.params.epsilon)
        gaps = differences(squared_distances(codes, codes)) + self.params.margin
        return {"triplet": anchor_mean(gaps.clamp(min=0), triplet_mask(batch.labels))}


def piecewise_threshold(outputs: Tensor, epsilon: float) -> Tensor:
    """Of s - 1/2: -1/2 below -epsilon, +1/2 above epsilon, itself between (eq. 7, shifted by 1/2)."""
    outer = torch.where(outputs > 0, 0.5, -0.5).to(outputs)
    return torch.where(outputs.abs() <= epsilon, outputs, outer)
