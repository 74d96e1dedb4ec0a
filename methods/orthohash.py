"""OrthoHash: one loss for all (Hoe, Ng, Zhang, Chan, Song, Xiang; NeurIPS 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._backbones import build_backbone
from benchmark.methods._centres import bernoulli_centres, spread_centres
from benchmark.methods._pairs import cosine
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class OrthoHashParams(StepwiseParams):
    """scale s: None means sqrt(K), as the supplement states (the release fixes 8, which is that for 64 bits).
    margin m: on the cosine, or on the angle for `arc`. `codebook`: fair signs, or far-spread ones (MaxHD).
    """

    scale: float | None = Field(default=None, gt=0)
    margin: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["cosine", "arc"] = "cosine"
    codebook: Literal["bernoulli", "spread"] = "bernoulli"


class NormalisedHash(nn.Module):
    """Backbone, a linear layer without bias, and batch normalisation, which balances each bit."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.backbone = build_backbone(task)
        self.head = nn.Linear(self.backbone.features, task.bits, bias=False)
        nn.init.normal_(self.head.weight, std=self.backbone.features**-0.5)
        self.norm = nn.BatchNorm1d(task.bits)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to (n, bits)."""
        projected = self.head(self.backbone(images))
        if self.training and len(images) == 1:  # a single image has no batch statistics
            return cast(
                Tensor,
                nn.functional.batch_norm(
                    projected, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias
                ),
            )
        return cast(Tensor, self.norm(projected))


class OrthoHash(StepwiseMethod):
    """Softmax cross-entropy over s (cos(v, o_c) - m [c = y]) with fixed binary codebook rows o_c (eq. 4 and 8).

    Multi-label data use y / |y| as targets and the margin on every active class.
    """

    info = MethodInfo(
        name="orthohash",
        title="OrthoHash",
        paper="One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective",
        year=2021,
        venue="NeurIPS",
        version=2,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("sky blue", "o", "dotted"),
    )
    Params = OrthoHashParams
    params: OrthoHashParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="adam",
        lr=1e-4,
        backbone_factor=0.1,
        weight_decay=5e-4,
        schedule="steps",
        drops=1.25,
        decay=0.1,
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network ends in batch normalisation."""
        return {"hash": NormalisedHash(task)}

    def begin(self, data: HashData) -> None:
        """Draw the codebook once per run."""
        draw = spread_centres if self.params.codebook == "spread" else bernoulli_centres
        codebook = draw(data.task.classes, data.task.bits, self.ctx.generator("codebook"))
        self.buffers["codebook"] = codebook.to(self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The single loss."""
        p = self.params
        scale = p.scale if p.scale is not None else outputs.shape[1] ** 0.5
        similar = cosine(outputs, self.buffers["codebook"].to(outputs))
        if p.kind == "arc":
            angles = torch.arccos(similar.clamp(-1 + 1e-6, 1 - 1e-6))
            shifted = torch.cos(angles + p.margin)
        else:
            shifted = similar - p.margin
        active = (batch.labels > 0).to(outputs)
        logits = scale * (active * shifted + (1 - active) * similar)
        return {"cosine": classification_loss(logits, batch.labels)}
