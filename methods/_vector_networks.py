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
            self.inference_skip = nn.Linear(task.channels, p.latent, bias=False)
            nn.init.zeros_(self.inference_skip.weight)
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

    def posterior(self, features: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As the base class does; a linear map of the vectors (n, d) themselves is added to the mean, for the
        other heads train the base to forget what z decides."""
        mean, log_variance = super().posterior(features, images, labels)
        return mean + self.inference_skip(images), log_variance

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) to h(x), (n, bits), not squashed."""
        return super().forward(self.standardise(vectors))

    @torch.no_grad()
    def calibrate(self, vectors: Tensor, spread: float) -> None:
        """As the base class does, on standardised vectors."""
        super().calibrate(self.standardise(vectors), spread)


class VectorGenerator(nn.Module):
    """G(z, c): latent vectors and labels to standardised vectors, by an MLP beside a linear map of z and c."""

    def __init__(self, task: Task, latent: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(task.classes, latent))
        self.layers = nn.Sequential(_layers(2 * latent, width, width), nn.Linear(width, task.channels))
        self.directions = nn.Parameter(torch.zeros(latent, task.channels))
        self.centres = nn.Parameter(torch.zeros(task.classes, task.channels))

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        """z (n, latent), labels (n, classes; may be soft) to standardised vectors (n, d)."""
        joint = torch.cat([latent, mean_rows(labels, self.embedding)], dim=1)
        linear = latent @ self.directions + mean_rows(labels, self.centres)
        return cast(Tensor, self.layers(joint)) + linear


@torch.no_grad()
def warm_start(
    vectors: Tensor, labels: Tensor, sigma: float, generator: VectorGenerator, descriptor: VectorDescriptor
) -> None:
    """Start generator and posterior encoder where a linear conditional VAE ends: at probabilistic PCA.

    vectors (n, d), standardised, labels (n, classes). With S the covariance within classes, its eigenvalues l and
    eigenvectors v, and sigma^2 the variance of what is left over, G(z, c) is the mean of c plus
    sum_i z_i sqrt(l_i - sigma^2) v_i, and q(z_i given x) has variance sigma^2 / l_i (Tipping and Bishop 1999).
    The MLPs begin at zero. Few vectors have few directions; one vector a class has none.
    """
    counts = labels.sum(0)
    generator.centres.copy_((labels.T @ vectors) / counts.clamp(min=1)[:, None])
    rest = vectors - mean_rows(labels, generator.centres)
    free = max(1, len(rest) - int((counts > 0).sum()))
    if len(rest) > rest.shape[1]:  # the triangular factor has the same singular values and right vectors
        rest = torch.linalg.qr(rest, mode="r").R
    _, singular, axes = torch.linalg.svd(rest / free**0.5, full_matrices=False)
    count = min(len(singular), len(generator.directions))
    size, axes = singular[:count].square().clamp(min=sigma**2), axes[:count]
    directions = (size - sigma**2).sqrt()[:, None] * axes
    generator.directions[:count] = directions
    _silence(cast(nn.Sequential, generator.layers)[-1])
    if descriptor.inference_head is not None:
        descriptor.inference_skip.weight[:count] = directions / size[:, None]
        last = cast(nn.Sequential, descriptor.inference_head)[-1]
        _silence(last)
        latent = len(generator.directions)
        last.bias[latent : latent + count] = (sigma**2 / size).log()


def _silence(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _layers(*widths: int) -> nn.Sequential:
    """Fully connected layers of these widths with leaky rectifiers, He-initialised."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        nn.init.kaiming_normal_(cast(Tensor, layers[-2].weight), a=SLOPE)
        nn.init.zeros_(cast(Tensor, layers[-2].bias))
    return nn.Sequential(*layers)
