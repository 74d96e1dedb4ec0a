"""Anchor features exp(-gamma |x - a_j|^2) that the kernel-based shallow methods share."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from benchmark.methods._features import ShallowMethod, ShallowParams
from benchmark.methods._pairs import squared_distances

_CHUNK = 8192


class KernelParams(ShallowParams):
    """`anchors` drawn from the labelled images (at most all of them). `gamma` of the radial basis function;
    None takes 1 / the mean squared distance between images and anchors, since papers tune it per feature.
    """

    anchors: int = Field(default=300, ge=1)
    gamma: float | None = Field(default=None, gt=0)


class KernelMethod(ShallowMethod):
    """Base: `map_features` sets the anchors up, `project` is linear in the anchor features.

    State: `anchors` (m, d), `gamma` (), `kernel_mean` (m,), `projection` (m, bits).
    """

    Params = KernelParams
    params: KernelParams

    def map_features(self, features: Tensor, centred: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Draw anchors; return the anchor features float64 (n, m) and the tensors that `project` needs."""
        order = torch.randperm(len(features), generator=self.ctx.generator("anchors"))
        anchors = features[order[: self.params.anchors].to(features.device)]
        gamma = self.params.gamma or 1.0 / float(squared_distances(features, anchors).mean().clamp(min=1e-12))
        mapped = radial(features, anchors, gamma).double()
        mean = mapped.mean(dim=0) if centred else torch.zeros_like(mapped[0])
        tensors = {"anchors": anchors, "gamma": torch.tensor(gamma), "kernel_mean": mean.float()}
        return mapped - mean, tensors

    def project(self, features: Tensor) -> Tensor:
        """Centred features (n, d) to outputs (n, bits)."""
        t = self.tensors
        parts = [
            (radial(part, t["anchors"], float(t["gamma"])) - t["kernel_mean"]) @ t["projection"]
            for part in features.split(_CHUNK)
        ]
        return torch.cat(parts)


def radial(features: Tensor, anchors: Tensor, gamma: float) -> Tensor:
    """exp(-gamma |x_i - a_j|^2): (n, d) and (m, d) to (n, m)."""
    return torch.exp(-gamma * squared_distances(features, anchors))


def ridge(design: Tensor, targets: Tensor, weight: float) -> Tensor:
    """(D^T D + weight I)^-1 D^T T for D (n, m), T (n, k); weight 0 means the pseudo-inverse.

    With n < m and a weight it is D^T (D D^T + weight I)^-1 T, the same by the smaller matrix.
    """
    if weight and len(design) < design.shape[1]:
        inner = design @ design.T
        return design.T @ torch.linalg.solve(inner + weight * torch.eye(len(inner)).to(inner), targets)
    gram = design.T @ design
    if weight == 0:
        return torch.linalg.pinv(gram, hermitian=True) @ (design.T @ targets)
    return torch.linalg.solve(gram + weight * torch.eye(len(gram)).to(gram), design.T @ targets)
