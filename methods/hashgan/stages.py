"""The losses of one step of each network: critic and generator in stage 1, the hash network in stage 2.

Every function returns the weighted terms whose sum is minimised; who is moved by them is the caller's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from benchmark.contracts import FitContext, Task
from benchmark.methods._pairs import off_diagonal, similarity
from benchmark.methods.hashgan import losses
from benchmark.methods.hashgan.losses import Theta, Weighting
from benchmark.methods.hashgan.networks import Critic
from benchmark.methods.hashgan.params import ALPHA, GENERATOR_PAIRS, HashGANParams

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class PairLoss:
    """C, the pairwise loss of both stages, with its options."""

    alpha: float
    theta: Theta = "cosine"
    weighting: Weighting = "release"
    diagonal: bool = False

    @classmethod
    def of(cls, params: HashGANParams, task: Task) -> Self:
        """As the parameters say; `alpha` null is the release's for this kind of labels."""
        alpha = ALPHA[task.multi_label] if params.alpha is None else params.alpha
        return cls(alpha, params.theta, params.weighting, params.diagonal)

    def among(self, codes: Tensor, labels: Tensor) -> Tensor:
        """C(A, A): codes (n, bits) of real images with labels (n, classes)."""
        n = len(codes)
        mask = torch.ones(n, n, device=codes.device) if self.diagonal else off_diagonal(n, codes.device)
        return self._mean(codes, codes, similarity(labels), mask)

    def across(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """C(sg A, B): real (n, bits) and synthesised (n, bits) codes of the same labels; real ones stay put."""
        similar = similarity(labels)
        return self._mean(real.detach(), fake, similar, torch.ones_like(similar))

    def _mean(self, left: Tensor, right: Tensor, similar: Tensor, mask: Tensor) -> Tensor:
        theta = losses.pair_theta(left, right, self.alpha, self.theta)
        return losses.pair_cross_entropy(theta, similar, mask, self.weighting)


@dataclass(frozen=True)
class Duel:
    """What critic and generator meet over in one step.

    real, fake: images (m + u, channels, height, width), in the same order: m with labels, then u whose label is
    hidden (real) or that were made without one (fake). labels: (m, classes). mix: (m + u,), where between its real
    and its fake image each point of the gradient penalty lies.
    """

    real: Tensor
    fake: Tensor
    labels: Tensor
    mix: Tensor

    @property
    def points(self) -> Tensor:
        """x + e (x^ - x), without a graph."""
        return torch.lerp(self.real, self.fake.detach(), self.mix.view(-1, 1, 1, 1))


def critic_terms(
    critic: Critic, duel: Duel, pairs: PairLoss, params: HashGANParams, ctx: FitContext
) -> Terms:
    """L_D: the gap, the gradient penalty, C among real codes and C from real to synthesised ones.

    One pass for real and fake images, one for the penalty, which alone is differentiated twice (in full precision).
    """
    n, m = len(duel.real), len(duel.labels)
    with ctx.autocast():
        values, codes = critic(torch.cat([duel.real, duel.fake]))
    values, codes = values.float(), codes.float()
    real, fake = codes[:m], codes[n : n + m]
    penalty = losses.gradient_penalty(critic.values, duel.points)
    terms = {
        "critic_gap": losses.critic_gap(values[:n], values[n:]),
        "gradient_penalty": params.gradient_penalty * penalty,
        "critic_pairs": pairs.among(real, duel.labels),
    }
    if params.critic_fakes:
        terms["critic_fake_pairs"] = params.critic_fakes * pairs.across(real, fake, duel.labels)
    return terms


def generator_terms(
    critic: Critic, duel: Duel, pairs: PairLoss, params: HashGANParams, ctx: FitContext
) -> Terms:
    """L_G: -mean w(fake), and C from real codes to the codes of G(z, y)."""
    m = len(duel.labels)
    weight = params.generator_pairs
    weight = GENERATOR_PAIRS[ctx.task.multi_label] if weight is None else weight
    with ctx.autocast():
        values, codes = critic(duel.fake)
        with torch.no_grad():
            real = critic.codes(duel.real[:m]) if weight else None
    terms = {"generator": -values.float().mean()}
    if real is not None:
        terms["generator_pairs"] = weight * pairs.across(real.float(), codes[:m].float(), duel.labels)
    return terms


def hash_terms(
    real: Tensor, fake: Tensor | None, labels: Tensor, pairs: PairLoss, params: HashGANParams
) -> Terms:
    """L_H from outputs (n, bits) before the tanh: C among real codes, C to synthesised ones, and Q."""
    codes = torch.tanh(real)
    terms = {"hash_pairs": pairs.among(codes, labels)}
    if fake is not None:
        terms["hash_fake_pairs"] = params.fake_weight * pairs.across(codes, torch.tanh(fake), labels)
    if params.quantisation:
        terms["quantisation"] = params.quantisation * losses.cosine_quantisation(codes)
    return terms
