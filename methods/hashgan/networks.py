"""The conditional generator, and the critic with its two outputs."""

from __future__ import annotations

import itertools
from typing import Literal, cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.methods._backbones import Backbone, Compact, Residual, initialise
from benchmark.methods._generators import cropped, doublings
from benchmark.methods._pairs import similarity

#: Label sets that the similarity embedding is computed from, at most: the most frequent ones.
LANDMARKS = 256


class LabelCondition(nn.Module):
    """The label vector itself, as in the release; a row of zeros says that the label is not known."""

    def forward(self, labels: Tensor) -> Tensor:
        """Labels (n, classes) as they are, float."""
        return labels.float()


class SimilarityCondition(nn.Module):
    """An embedding v with <v_i, v_j> near s_ij, of as many dimensions as there are classes.

    The paper conditions on an embedding of the pairwise similarities; how it is made is reconstructed here. With
    S = U L U^T the similarities among the training set's label sets, v = U L^(1/2), positive part only; a label
    set outside of them gets s(y, .) U L^(-1/2), which for one of them is the same. Single-label data gives the
    label vector back, up to a rotation.
    """

    landmarks: Tensor
    projection: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        count = min(LANDMARKS, 2 ** min(classes, 30))
        self.register_buffer("landmarks", torch.zeros(count, classes))
        self.register_buffer("projection", torch.zeros(count, classes))

    @torch.no_grad()
    def learn(self, labels: Tensor) -> None:
        """Compute the embedding from the training set's labels (n, classes)."""
        rows, counts = torch.unique(labels.cpu().float(), dim=0, return_counts=True)
        rows = rows[torch.argsort(counts, descending=True, stable=True)][: len(self.landmarks)]
        values, vectors = torch.linalg.eigh(similarity(rows).double())
        kept = [index for index in reversed(range(len(rows))) if values[index] > 1e-6]
        kept = kept[: self.projection.shape[1]]
        self.landmarks.zero_()[: len(rows)] = rows.to(self.landmarks)
        scaled = vectors[:, kept] * values[kept].rsqrt()
        self.projection.zero_()[: len(rows), : len(kept)] = scaled.to(self.projection)

    def forward(self, labels: Tensor) -> Tensor:
        """Labels (n, classes) to v (n, classes); a row of zeros stays one."""
        return similarity(labels.float(), self.landmarks) @ self.projection


class Generator(nn.Module):
    """G(z, y): condition and noise, a linear layer, residual blocks that double the map, as in the release.

    Any size: it starts from a map of about 4 px and doubles it until it covers the image, then crops centrally.
    Channels grow as the map shrinks, up to four times `width` (the release: constant at 32 px, growing at 64).
    Batch normalisation uses batch statistics while it is trained and running ones afterwards, so that a sample
    does not depend on its neighbours (the release: batch statistics always).
    """

    def __init__(
        self, task: Task, latent: int, width: int, condition: Literal["labels", "similarity"]
    ) -> None:
        super().__init__()
        self.size, self.latent = (task.height, task.width), latent
        count = doublings(min(self.size))
        self.start = tuple(-(-side // 2**count) for side in self.size)
        channels = [min(width * 2 ** (count - i), 4 * width) for i in range(count + 1)]
        self.first = channels[0]
        by_similarity = condition == "similarity"
        self.condition = SimilarityCondition(task.classes) if by_similarity else LabelCondition()
        self.project = nn.Linear(task.classes + latent, self.first * self.start[0] * self.start[1])
        layers: list[nn.Module] = [_Grow(before, after) for before, after in itertools.pairwise(channels)]
        layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU()]
        layers += [nn.Conv2d(channels[-1], task.channels, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """z (n, latent), labels (n, classes; zeros for none) to images (n, channels, height, width) in [-1, 1]."""
        joint = torch.cat([self.condition(labels), noise], dim=1)
        return cropped(self.layers(self.project(joint).view(-1, self.first, *self.start)), self.size)


class _Grow(nn.Module):
    """A residual block that doubles height and width by repeating pixels."""

    def __init__(self, channels: int, grown: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, grown, 3, padding=1, bias=False),
            nn.BatchNorm2d(grown),
            nn.ReLU(),
            nn.Conv2d(grown, grown, 3, padding=1),
        )
        # A 1x1 convolution before doubling equals one after it, at a quarter of the cost.
        self.skip = nn.Sequential(nn.Conv2d(channels, grown, 1), nn.Upsample(scale_factor=2))

    def forward(self, maps: Tensor) -> Tensor:
        return cast(Tensor, self.skip(maps) + self.branch(maps))


class Critic(nn.Module):
    """D: one trunk without normalisation (a penalty on each image's gradient forbids it), two linear heads."""

    def __init__(self, task: Task, kind: Literal["compact", "residual"], width: int) -> None:
        super().__init__()
        trunk = Compact if kind == "compact" else Residual
        self.trunk: Backbone = trunk(task, width)
        # A constant added to w changes no difference of means and no gradient: no bias.
        self.value = _linear(self.trunk.features, 1, bias=False)
        self.code = _linear(self.trunk.features, task.bits)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, channels, height, width) in [-1, 1] to w (n,) and t (n, bits) in (-1, 1)."""
        features = self.trunk(images)
        return self.value(features).squeeze(1), torch.tanh(self.code(features))

    def values(self, images: Tensor) -> Tensor:
        """w (n,) alone."""
        return cast(Tensor, self.value(self.trunk(images)).squeeze(1))

    def codes(self, images: Tensor) -> Tensor:
        """t (n, bits) alone."""
        return torch.tanh(self.code(self.trunk(images)))


def _linear(width: int, out: int, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(width, out, bias=bias)
    nn.init.normal_(layer.weight, std=width**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
