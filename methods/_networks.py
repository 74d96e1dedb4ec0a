"""The network of almost every deep hashing paper: a backbone and one linear hash layer."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.methods._backbones import Backbone, build_backbone

#: Images in one forward pass outside training: backbones for large images need much memory for each.
CHUNK = 64


class CalibratedNetwork(nn.Module):
    """A network whose fresh hash layer is adjusted once to the training images, before the first update."""

    def calibrate(self, images: Tensor, spread: float) -> None:
        """Adjust to float images (n, channels, height, width): outputs with mean 0 and deviation `spread`."""
        raise TypeError(f"{type(self).__name__} must define calibrate()")


class HashNetwork(CalibratedNetwork):
    """A backbone and one linear hash layer, the network of almost every deep hashing paper."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.backbone: Backbone = build_backbone(task)
        self.head = nn.Linear(self.backbone.features, task.bits)
        nn.init.normal_(self.head.weight, std=self.backbone.features**-0.5)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("centre", torch.zeros(self.backbone.features))
        self.centre: Tensor

    @torch.no_grad()
    def calibrate(self, images: Tensor, spread: float) -> None:
        """Centre the features and scale the fresh head on `images`: outputs get mean 0 and deviation `spread`.

        Without this an untrained network's features share one large common part: every pair looks similar,
        losses that clamp or saturate start without a gradient, and every update moves all outputs together.
        """
        training = self.training
        self.eval()
        features = torch.cat([self.backbone(part).float() for part in images.split(CHUNK)])
        self.centre.copy_(features.mean(dim=0))
        outputs = self.head(features - self.centre)
        self.head.weight.mul_(spread / outputs.std(dim=0).clamp(min=1e-6)[:, None])
        self.train(training)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to outputs (n, bits), not squashed."""
        return cast(Tensor, self.head(self.backbone(images) - self.centre))
