"""Pieces of unsupervised deep methods: all images without labels, frozen reference features, two views."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.contracts import FitContext, HashData, Task
from benchmark.methods._backbones import Backbone, build_backbone, features_text
from benchmark.methods._networks import CHUNK
from benchmark.methods._pairs import cosine
from benchmark.methods._stepwise import StepwiseMethod, StepwiseParams
from benchmark.spec import PLAIN


class UnsupervisedMethod(StepwiseMethod):
    """Base: trains on labelled and unlabelled images alike, with every label zeroed before `begin` or `loss`."""

    def fit(self, data: HashData, ctx: FitContext) -> None:
        """Train on all images."""
        images = torch.cat([data.images, data.unlabelled])
        blank = torch.zeros(
            len(images), data.task.classes, dtype=data.labels.dtype, device=data.labels.device
        )
        super().fit(dataclasses.replace(data, images=images, labels=blank, unlabelled=images[:0]), ctx)

    def facts(self) -> dict[str, str | int | float]:
        """As every method's; a backbone that the recipe does not train is called frozen."""
        how = "trained" if self.recipe().backbone_factor else "frozen"
        return super().facts() | {"features": features_text(self.ctx.task, how)}


class ReferenceParams(StepwiseParams):
    """`reference`: whose cosine similarities the codes copy: a frozen copy of the pre-trained backbone, the
    centred pixels, or `auto`, the backbone where it has pre-trained weights (papers use VGG-16's fc7).
    """

    reference: Literal["auto", "pixels", "backbone"] = "auto"


class ReferenceMethod(UnsupervisedMethod):
    """Base of methods that copy the similarities of frozen features between the two halves of a batch."""

    Params = ReferenceParams
    params: ReferenceParams

    def reference_module(self, task: Task) -> nn.Module:
        """The frozen feature network; it carries the features' mean over the training images."""
        pretrained = task.weights != "none"
        chosen = self.params.reference
        use_backbone = chosen == "backbone" or (chosen == "auto" and pretrained)
        plain = {"backbone": "pixels", "weights": "none", "preprocessing": PLAIN}
        named = dataclasses.replace(task, head="", **({} if use_backbone else plain))
        return Reference(build_backbone(named))

    def begin(self, data: HashData) -> None:
        """Set the reference features' mean."""
        reference = self.networks["reference"]
        assert isinstance(reference, Reference)
        reference.centre(data.images)

    def similarity_error(self, outputs: Tensor, images: Tensor) -> Tensor:
        """MSE between cosine similarities of outputs and of reference features, first against second half."""
        half = len(outputs) // 2
        if half == 0:
            return outputs.sum() * 0
        with torch.no_grad():
            features = self.networks["reference"](images)
        wanted = cosine(features[:half], features[half : 2 * half])
        return (cosine(outputs[:half], outputs[half : 2 * half]) - wanted).square().mean()


class Reference(nn.Module):
    """Frozen features minus their mean; always in evaluation mode, so that no dropout acts on them."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.body = backbone.requires_grad_(False)
        self.eval()  # `centre` comes before the first update, which would say so
        self.register_buffer("mean", torch.zeros(backbone.features))
        self.mean: Tensor

    def train(self, mode: bool = True) -> Reference:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to centred features (n, d)."""
        return self.body(images).float() - self.mean

    def centre(self, images: Tensor) -> None:
        """Set the mean from uint8 images, a chunk at a time."""
        from benchmark.methods._images import to_float

        with torch.no_grad():
            parts = (to_float(part.to(self.mean.device)) for part in images.split(CHUNK))
            total = torch.stack([self.body(part).sum(dim=0) for part in parts]).sum(dim=0)
        self.mean.copy_(total / len(images))
