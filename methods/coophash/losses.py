"""Every loss of CoopHash as a pure function of tensors; none of them carries its weight.

Stated by the paper's summary: negative likelihood, triplet ranking, classification and variational losses.
Reconstructed or chosen here: their exact forms, the energy penalty, the quantisation term, the triplets
among real images, the likelihood of pairs, and the adversarial losses of the GAN counterpart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus

from benchmark.methods._pairs import balance_weights, off_diagonal, pair_likelihood, similarity


def negative_log_likelihood(real: Tensor, revised: Tensor, weights: Tensor | None = None) -> Tensor:
    """mean f(x~, c~) - mean f(x, c), whose gradient is that of -log p(x given c); real (n,), revised (m,).

    weights (m,): of revised images, 1 on average over the labels that are drawn (`LabelPool.weights`).
    """
    return weighted_mean(revised, weights) - real.mean()


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of values times weights; the plain mean without them."""
    return values.mean() if weights is None else (weights * values).mean()


def energy_penalty(real: Tensor, revised: Tensor) -> Tensor:
    """(mean f(x, c)^2 + mean f(x~, c~)^2) / 2: keeps the values of f near zero, where they are arbitrary."""
    return (real.square().mean() + revised.square().mean()) / 2


def marginal(table: Tensor) -> Tensor:
    """log mean_c exp f(x, c), (n,): f of an image of unknown class, from f under m candidates (n, m)."""
    return torch.logsumexp(table, dim=1) - math.log(table.shape[1])


def label_posterior(table: Tensor, labels: Tensor) -> Tensor:
    """Mean -log p(c given x) that f implies by Bayes' rule, where every p(x given c) has one normaliser.

    table (n, n): f of each image under each image's label set; labels (n, classes). The batch's shares are p(c).
    """
    same = (labels[:, None] == labels[None]).all(dim=2)
    own = table.masked_fill(~same, -torch.inf)
    return (torch.logsumexp(table, dim=1) - torch.logsumexp(own, dim=1)).mean()


def code_distance(first: Tensor, second: Tensor) -> Tensor:
    """|a - b|^2 / (4 bits) along the last axis: for codes in {-1, 1} the share of bits that differ."""
    return (first - second).square().sum(-1) / (4 * first.shape[-1])


def hinge(violation: Tensor, temperature: float | None) -> Tensor:
    """max(0, v), or its smooth form T log(1 + exp(v / T)), which goes on asking for a little more."""
    if temperature is None:
        return violation.clamp(min=0)
    return temperature * softplus(violation / temperature)


def pair_triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    valid: Tensor,
    margin: float,
    temperature: float | None,
) -> Tensor:
    """Mean hinge of m + d(x, x~+) - d(x, x~-) over the rows that `valid` (n,) marks; codes (n, bits)."""
    violation = margin + code_distance(anchor, positive) - code_distance(anchor, negative)
    return (hinge(violation, temperature) * valid).sum() / valid.sum().clamp(min=1)


def batch_triplet(codes: Tensor, labels: Tensor, margin: float, temperature: float | None) -> Tensor:
    """Mean hinge of m + d(a, p) - d(a, n) over all valid triplets of a batch of real images.

    codes (n, bits), labels (n, classes). A positive shares a label with its anchor and is another image; a
    negative shares none. Every triplet counts: the hardest alone make the codes collapse. To bound memory,
    the anchors are the first images only where the batch holds more than 2^22 triplets.
    """
    anchors = min(len(codes), max(1, 2**22 // len(codes) ** 2))
    alike = similarity(labels[:anchors], labels)
    distance = code_distance(codes[:anchors, None], codes[None])
    positive = alike * (1 - torch.eye(len(codes), device=codes.device)[:anchors])
    valid = positive[:, :, None] * (1 - alike)[:, None, :]
    violation = margin + distance[:, :, None] - distance[:, None, :]
    return (hinge(violation, temperature) * valid).sum() / valid.sum().clamp(min=1)


def likelihood(codes: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Mean -log P(alike) over all pairs of a batch of real images; not in the paper.

    codes (n, bits) in [-1, 1], labels (n, classes). P = sigmoid(scale <a, b> / bits); pairs that share a label
    weigh as much in total as those that do not. A triplet is content with a bit that stays on one side;
    an unlike pair asks for opposite bits.
    """
    alike = similarity(labels)
    weights = balance_weights(alike, off_diagonal(len(codes), codes.device))
    theta = scale / codes.shape[1] * (codes @ codes.T)
    return (weights * pair_likelihood(theta, alike)).sum() / weights.sum().clamp(min=1e-12)


def quantisation(codes: Tensor) -> Tensor:
    """mean (|h| - 1)^2 over images and bits; codes (n, bits) in [-1, 1]."""
    return (codes.abs() - 1).square().mean()


def classification(logits: Tensor, labels: Tensor, multi_label: bool, over_labels: str = "mean") -> Tensor:
    """Cross-entropy of p(c given x): softmax, or a sigmoid for each label, their `mean` or `sum`."""
    if multi_label:
        error = binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return (error.sum(1) if over_labels == "sum" else error.mean(1)).mean()
    return cross_entropy(logits, labels)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), summed over latent dimensions, (n,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def reconstruction(images: Tensor, rebuilt: Tensor, sigma: float) -> Tensor:
    """|x - G|^2 / (2 sigma^2), summed over pixels, (n,)."""
    return (images - rebuilt).square().flatten(1).sum(1) / (2 * sigma**2)


def discriminator(real: Tensor, fake: Tensor, weights: Tensor | None = None) -> Tensor:
    """-log D(x, c) - log(1 - D(x^, c^)) with D = sigmoid(f): for the GAN counterpart; weights (m,) of fakes."""
    return softplus(-real).mean() + weighted_mean(softplus(fake), weights)


def adversarial(fake: Tensor) -> Tensor:
    """-log D(G(z, c), c), the generator's non-saturating loss in the GAN counterpart."""
    return softplus(-fake).mean()
