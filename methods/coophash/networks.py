"""The multipurpose descriptor and the contrastive pair generator.

Stated by the paper's summary: one shared bottom-up base under four heads (density, inference, hashing,
discrimination), and a top-down generator G(z, c). Reconstructed: the form of each head and every layer.
"""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmark.contracts import Task
from benchmark.methods._backbones import SLOPE, build_backbone, initialise
from benchmark.methods._generators import cropped, doublings
from benchmark.methods._networks import CHUNK
from benchmark.methods._stepwise import CalibratedNetwork

#: Numbers that images of one calibration pass may hold: 512 of 3x64x64.
_WHOLE = 512 * 3 * 64 * 64


class Descriptor(CalibratedNetwork):
    """One base network with up to four heads; `forward` is the retrieval path, base and hash head only.

    A head that is off is None and costs nothing. Without a hash head the codes come from a fixed random
    projection of the base features (`FixedProjection`).
    """

    def __init__(
        self,
        task: Task,
        *,
        hashing: bool = True,
        density: bool = True,
        discrimination: bool = True,
        latent: int = 0,
        spectral: bool = False,
        pixels: bool = False,
        labels: bool = False,
    ) -> None:
        super().__init__()
        self.base = build_backbone(task)
        width = self.base.features
        self.hash_head = CentredLinear(width, task.bits) if hashing else FixedProjection(width, task.bits)
        self.density_head = _density(task, width) if density else None
        self.class_head = _linear(width, task.classes) if discrimination else None
        self.inference_head = _linear(width, 2 * latent) if latent else None
        self.encoder = _encoder(task, 2 * latent) if latent and pixels else None
        self.label_mean = nn.Linear(task.classes, latent, bias=False) if latent and labels else None
        if self.label_mean is not None:
            nn.init.zeros_(self.label_mean.weight)
        if spectral:
            for part in (self.base, self.density_head):
                _normalise(part)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to h(x), (n, bits), not squashed."""
        return cast(Tensor, self.hash_head(self.base(images)))

    @torch.no_grad()
    def calibrate(self, images: Tensor, spread: float) -> None:
        """Centre and scale a fresh hash head on images; a fixed projection centres itself."""
        if isinstance(self.hash_head, CentredLinear):
            training = self.training
            self.eval()
            # Large images do not fit a device all at once; small ones stay in one pass.
            parts = images.split(max(CHUNK, _WHOLE // images[0].numel()))
            self.hash_head.calibrate(torch.cat([self.base(part).float() for part in parts]), spread)
            self.train(training)

    def density(self, features: Tensor, labels: Tensor) -> Tensor:
        """f(x, c) (n,) from base features (n, width) and labels (n, classes)."""
        assert self.density_head is not None, "the density head is off"
        return cast(Tensor, self.density_head(features, labels))

    def density_table(self, features: Tensor, candidates: Tensor) -> Tensor:
        """f of features (n, width) under each of m candidate label sets (m, classes): (n, m)."""
        assert isinstance(self.density_head, ClassDensity | ProjectionDensity), "the density head is off"
        return self.density_head.table(features, candidates)

    def posterior(self, features: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z given x), each (n, latent); the log-variance is kept in [-8, 8].

        features: (n, width), of `images`, which this head looks at again only with an encoder of its own, as at
        labels (n, classes) with means of theirs.
        """
        assert self.inference_head is not None, "the inference head is off"
        outputs = self.inference_head(features)
        if self.encoder is not None:
            outputs = outputs + self.encoder(images)
        mean, log_variance = outputs.chunk(2, dim=1)
        if self.label_mean is not None:
            mean = mean + self.label_mean(labels)
        return mean, log_variance.clamp(-8, 8)

    def class_logits(self, features: Tensor) -> Tensor:
        """Logits (n, classes) of p(c given x): softmax, or a sigmoid for each label when multi-label."""
        assert self.class_head is not None, "the class head is off"
        return cast(Tensor, self.class_head(features))


class CentredLinear(nn.Module):
    """The hash head: a linear map of centred features, as the hash layers of the other methods are."""

    centre: Tensor

    def __init__(self, width: int, bits: int) -> None:
        super().__init__()
        self.linear = _linear(width, bits)
        self.register_buffer("centre", torch.zeros(width))

    @torch.no_grad()
    def calibrate(self, features: Tensor, spread: float) -> None:
        """Fix the centre at the mean of features (n, width); scale each output to deviation `spread`."""
        self.centre.copy_(features.mean(dim=0))
        deviation = self.linear(features - self.centre).std(dim=0)
        self.linear.weight.mul_(spread / deviation.clamp(min=1e-6)[:, None])

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, width) to outputs (n, bits)."""
        return cast(Tensor, self.linear(features - self.centre))


class ClassDensity(nn.Module):
    """f(x, c) for one class of many: row c of a linear map of the features."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.rows = _linear(width, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (n, width), one-hot labels (n, classes) to f (n,)."""
        return cast(Tensor, (self.rows(features) * labels).sum(1))

    def table(self, features: Tensor, candidates: Tensor) -> Tensor:
        """f of every image under every candidate label: (n, width), (m, classes) to (n, m)."""
        return cast(Tensor, self.rows(features)) @ candidates.T


class ProjectionDensity(nn.Module):
    """f(x, c) for label sets: psi(phi) + <e(c), phi>, e(c) the mean embedding of the active labels."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.psi = _linear(width, 1)
        self.embedding = nn.Parameter(torch.randn(classes, width) * width**-0.5)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (n, width), multi-hot labels (n, classes) to f (n,)."""
        embedded = mean_rows(labels, self.embedding)
        return cast(Tensor, self.psi(features).squeeze(1) + (embedded * features).sum(1))

    def table(self, features: Tensor, candidates: Tensor) -> Tensor:
        """f of every image under every candidate label set: (n, width), (m, classes) to (n, m)."""
        table: Tensor = self.psi(features) + features @ mean_rows(candidates, self.embedding).T
        return table


class FixedProjection(nn.Module):
    """Codes without a trained hash head: a fixed orthonormal projection of centred base features.

    The centre is a running mean of the real images' features, kept by `observe` during training.
    """

    weight: Tensor
    centre: Tensor
    seen: Tensor

    def __init__(self, width: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("weight", nn.init.orthogonal_(torch.empty(bits, width)))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, width) to outputs (n, bits)."""
        return (features.float() - self.centre) @ self.weight.T

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Fold a batch of features (n, width) into the centre; its memory is about 20 batches."""
        self.seen += 1
        share = self.seen.reciprocal().clamp(min=0.05)
        self.centre += share * (features.mean(0) - self.centre)


class Generator(nn.Module):
    """G(z, c): latent vectors and labels to images in [-1, 1], by transposed convolutions.

    Starts from a map of about 4 px and doubles it until it covers height and width, then crops centrally:
    any size from 8 to 64 px. The label enters as the mean embedding of its active classes, beside z. Batch
    normalisation uses batch statistics in training and running ones afterwards, as in the literature.
    """

    def __init__(self, task: Task, latent: int, width: int) -> None:
        super().__init__()
        self.size = (task.height, task.width)
        count = doublings(min(self.size))
        self.start = tuple(-(-side // 2**count) for side in self.size)
        channels = [min(width * 2 ** (count - i), 4 * width) for i in range(count + 1)]
        self.first = channels[0]
        self.embedding = nn.Parameter(torch.randn(task.classes, latent))
        self.project = nn.Linear(2 * latent, channels[0] * self.start[0] * self.start[1], bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[0]), nn.LeakyReLU(SLOPE)]
        for before, after in itertools.pairwise(channels):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
        layers += [nn.Conv2d(channels[-1], task.channels, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        """z (n, latent), labels (n, classes; may be soft) to images (n, channels, height, width)."""
        joint = torch.cat([latent, mean_rows(labels, self.embedding)], dim=1)
        return cropped(self.layers(self.project(joint).view(-1, self.first, *self.start)), self.size)


def mean_rows(labels: Tensor, embedding: Tensor) -> Tensor:
    """The label-weighted mean of embedding rows, (n, width); a row without labels gives zeros."""
    return (labels @ embedding) / labels.sum(1, keepdim=True).clamp(min=1e-6)


def _density(task: Task, width: int) -> nn.Module:
    head = ProjectionDensity if task.multi_label else ClassDensity
    return head(width, task.classes)


def _encoder(task: Task, out: int) -> nn.Module:
    """Images to (n, out): two convolutions and a linear layer, for what the shared base forgets."""
    layers = [nn.Conv2d(task.channels, 16, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    layers += [nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE), nn.Flatten()]
    layers += [nn.Linear(32 * (task.height // 4) * (task.width // 4), out)]
    encoder = nn.Sequential(*layers)
    initialise(encoder)
    return encoder


def _linear(width: int, out: int) -> nn.Linear:
    layer = nn.Linear(width, out)
    nn.init.normal_(layer.weight, std=width**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


def _normalise(part: nn.Module | None) -> None:
    for layer in [] if part is None else list(part.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
