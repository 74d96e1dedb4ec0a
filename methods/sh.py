"""SH: spectral hashing (Weiss, Torralba, Fergus; NIPS 2008)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._features import ShallowMethod, too_many_bits
from benchmark.methods._spectra import principal_directions


class SpectralHashing(ShallowMethod):
    """Signs of the Laplacian's eigenfunctions for a uniform box aligned with the principal components.

    With range [a, b] of a component, mode k has Phi_k(x) = sin(pi/2 + k pi (x - a) / (b - a)) and an eigenvalue
    that grows with (k / (b - a))^2 (section 3.3, as commonly described); the K smallest over all components
    and k >= 1 are kept, so a long axis gets several bits and a short one none.
    """

    info = MethodInfo(
        name="sh",
        title="SH",
        paper="Spectral Hashing",
        year=2008,
        venue="NIPS",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        trained_by="closed-form",
        look=("orange", "<", "dotted"),
    )

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """PCA gives no more directions than the features have dimensions."""
        return too_many_bits("SH", task)

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """PCA, the box around the projections, and the choice of modes."""
        bits = data.task.bits
        principal = principal_directions(features, bits)[0]
        projected = features.double() @ principal
        low, high = projected.amin(dim=0), projected.amax(dim=0)
        axes, modes = choose_modes(high - low, bits)
        span = (high - low).clamp(min=1e-12)[axes]
        return {
            "principal": principal[:, axes].float(),
            "low": low[axes].float(),
            "frequency": (math.pi * modes.to(span) / span).float(),
        }

    def project(self, features: Tensor) -> Tensor:
        """The chosen eigenfunctions at centred features (n, d): (n, bits)."""
        t = self.tensors
        return torch.cos((features @ t["principal"] - t["low"]) * t["frequency"])


def choose_modes(ranges: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The `bits` modes with the smallest k / range: int64 axes and mode numbers k >= 1, in rising order."""
    modes = torch.arange(1, bits + 1)
    cost = modes[None, :] / ranges.cpu().clamp(min=1e-12)[:, None]
    chosen = cost.flatten().argsort(stable=True)[:bits]
    return (chosen // bits).to(ranges.device), modes[chosen % bits]
