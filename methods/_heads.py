"""Hash networks with hidden layers between backbone and hash layer, as some releases have them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.methods._backbones import Backbone, build_backbone
from benchmark.methods._networks import CHUNK, CalibratedNetwork


class HiddenHashNetwork(CalibratedNetwork):
    """A backbone, hidden layers of the given widths with rectifiers, and a linear hash layer.

    `widths` None means two hidden layers as wide as the features. `dropout` acts after the first one.
    """

    def __init__(self, task: Task, widths: Sequence[int] | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone: Backbone = build_backbone(task)
        size = self.backbone.features
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([size, *((size, size) if widths is None else widths)]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        if dropout:
            layers.insert(2, nn.Dropout(dropout))
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(cast(nn.Linear, layers[-2]).out_features, task.bits)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("middle", torch.zeros(self.head.in_features))
        self.centre: Tensor
        self.middle: Tensor

    @torch.no_grad()
    def calibrate(self, images: Tensor, spread: float) -> None:
        """Centre the features and the last hidden layer, scale the fresh hash layer: mean 0, deviation `spread`.

        Rectified values are all positive: not centred, every update moves all outputs of a bit together.
        """
        training = self.training
        self.eval()
        features = torch.cat([self.backbone(part).float() for part in images.split(CHUNK)])
        self.centre.copy_(features.mean(dim=0))
        hidden = self.hidden(features - self.centre)
        self.middle.copy_(hidden.mean(dim=0))
        outputs = self.head(hidden - self.middle)
        self.head.weight.mul_(spread / outputs.std(dim=0).clamp(min=1e-6)[:, None])
        self.train(training)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to outputs (n, bits), not squashed."""
        hidden = self.hidden(self.backbone(images) - self.centre)
        return cast(Tensor, self.head(hidden - self.middle))
