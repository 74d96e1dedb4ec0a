"""Every loss of HashGAN as a pure function of tensors; none of them carries its weight.

Read in the authors' release: the cosine cross-entropy, the critic's gap, the gradient penalty. Only described:
the cosine quantisation loss, which the release does not contain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmark.methods._pairs import balance_weights, cosine, pair_likelihood

Weighting = Literal["release", "balanced", "none"]
Theta = Literal["cosine", "inner-product"]


def pair_theta(left: Tensor, right: Tensor, alpha: float, kind: Theta) -> Tensor:
    """theta_ij = alpha cos(a_i, b_j), or alpha <a_i, b_j> / K, which equals it on binary codes: (n, m)."""
    if kind == "cosine":
        return alpha * cosine(left, right)
    return alpha / left.shape[1] * (left @ right.T)


def pair_weights(similar: Tensor, mask: Tensor, kind: Weighting) -> Tensor:
    """Class weights of pairs (n, m), 0 outside `mask`: the release's |S|/|S1| and 1, HashNet's, or all 1.

    Without a similar pair the release divides by zero; here such pairs have no weight.
    """
    if kind == "balanced":
        return balance_weights(similar, mask)
    if kind == "none":
        return mask
    positive = (similar * mask).sum().clamp(min=1)
    return torch.where(similar > 0, mask.sum() / positive, torch.ones_like(similar)) * mask


def pair_cross_entropy(theta: Tensor, similar: Tensor, mask: Tensor, weighting: Weighting) -> Tensor:
    """C: the mean over the pairs in `mask` of w_ij [log(1 + exp(theta_ij)) - s_ij theta_ij]; all (n, m)."""
    weights = pair_weights(similar, mask, weighting)
    return (weights * pair_likelihood(theta, similar)).sum() / mask.sum().clamp(min=1)


def cosine_quantisation(codes: Tensor) -> Tensor:
    """Q: the mean over images of 1 - cos(|h|, 1), 0 where all bits are equally far from zero; codes (n, K)."""
    share: Tensor = normalize(codes.abs(), dim=1).sum(1).mean() / float(codes.shape[1] ** 0.5)
    return 1 - share


def critic_gap(real: Tensor, fake: Tensor) -> Tensor:
    """mean w(fake) - mean w(real), minus the estimated Wasserstein distance; real (n,), fake (m,)."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """mean (|grad w(x)| - 1)^2 at `points` (n, channels, height, width); `critic` gives w, (n,).

    The one place that keeps the graph of a gradient. `points` get none.
    """
    leaf = points.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(leaf).sum(), leaf, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norms - 1).square().mean()
