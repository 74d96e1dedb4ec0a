"""The networks of CoopHash on feature vectors: small MLPs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.methods._backbones import SLOPE, Backbone
from benchmark.methods._images import to_float
from benchmark.methods.coophash import CoopHashParams
from benchmark.methods.coophash.networks import Descriptor, mean_rows


class VectorBase(Backbone):
    """Two hidden layers on standardised vectors; the base that the four heads share."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.layers = _layers(size, width, width)
        self.features = width

    def trained_before(self) -> list[nn.Parameter]:
        """None: everything is new."""
        return []

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardised vectors (n, d) to features (n, width)."""
        return cast(Tensor, self.layers(vectors))


class VectorDescriptor(Descriptor):
    """The descriptor, whose base and posterior encoder are small MLPs.

    `forward` takes vectors as the data set has them; `base`, and the chain, those that `standardise` gives.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, task: Task, p: CoopHashParams, width: int) -> None:
        # A hidden layer in the place of pixels makes heads of its width.
        super().__init__(
            replace(task, head=f"mlp:{width}"),
            hashing=p.weight_tr > 0,
            density=p.weight_nll > 0,
            discrimination=p.weight_class > 0,
        )
        self.base = VectorBase(task.channels, width)
        if p.spectral_norm:
            for layer in [m for part in (self.base, self.density_head) if part for m in part.modules()]:
                if isinstance(layer, nn.Linear):
                    nn.utils.parametrizations.spectral_norm(layer)
        if p.weight_vae > 0:
            self.inference_head = nn.Sequential(_layers(width, width), nn.Linear(width, 2 * p.latent))
        self.register_buffer("mean", torch.zeros(task.channels))
        self.register_buffer("deviation", torch.ones(task.channels))

    @torch.no_grad()
    def fit_scale(self, vectors: Tensor) -> None:
        """Take mean and deviation from training vectors (n, d); what varies less than a tenth as much as
        dimensions do on average is not blown up."""
        vectors = to_float(vectors)
        self.mean.copy_(vectors.mean(0))
        spread = vectors.std(0, correction=0)
        self.deviation.copy_(spread.clamp(min=max(0.1 * float(spread.mean()), 1e-6)))

    def standardise(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) in units of the training vectors' deviation, around their mean."""
        return (vectors - self.mean) / self.deviation

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) to h(x), (n, bits), not squashed."""
        return super().forward(self.standardise(vectors))

    @torch.no_grad()
    def calibrate(self, vectors: Tensor, spread: float) -> None:
        """As the base class does, on standardised vectors."""
        super().calibrate(self.standardise(vectors), spread)


class VectorGenerator(nn.Module):
    """G(z, c): latent vectors and labels to standardised vectors, by an MLP."""

    def __init__(self, task: Task, latent: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(task.classes, latent))
        self.layers = nn.Sequential(_layers(2 * latent, width, width), nn.Linear(width, task.channels))

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        """z (n, latent), labels (n, classes; may be soft) to standardised vectors (n, d)."""
        joint = torch.cat([latent, mean_rows(labels, self.embedding)], dim=1)
        return cast(Tensor, self.layers(joint))


def _layers(*widths: int) -> nn.Sequential:
    """Fully connected layers of these widths with leaky rectifiers, He-initialised."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        nn.init.kaiming_normal_(cast(Tensor, layers[-2].weight), a=SLOPE)
        nn.init.zeros_(cast(Tensor, layers[-2].bias))
    return nn.Sequential(*layers)
