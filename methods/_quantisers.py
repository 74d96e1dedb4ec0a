"""Ways from real outputs to signs: codes, penalties, and layers whose backward pass is stated by their paper."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import softplus


def signs(outputs: Tensor) -> Tensor:
    """+1 where an output is >= 0, else -1, in the same precision; carries no gradient."""
    outputs = outputs.detach()
    return torch.where(outputs >= 0, torch.ones_like(outputs), -torch.ones_like(outputs))


def sign_error(outputs: Tensor) -> Tensor:
    """mean (u - sign u)^2 over all entries (DPSH, DTSH): the sign is a constant for the gradient."""
    return (outputs - signs(outputs)).square().mean()


def magnitude_error(outputs: Tensor, power: float = 1.0) -> Tensor:
    """mean | |u| - 1 |^power over all entries: power 1 in DSH, IDHN and QSMIH, 2 in CSQ, 3 in GreedyHash."""
    return (outputs.abs() - 1).abs().pow(power).mean()


def log_cosh_error(outputs: Tensor) -> Tensor:
    """mean log cosh(|u| - 1) (DHN), as |x| + log(1 + exp(-2|x|)) - log 2: cosh itself overflows."""
    x = (outputs.abs() - 1).abs()
    return (x + softplus(-2 * x) - math.log(2)).mean()


class _StraightSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outputs: Tensor) -> Tensor:
        return signs(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def straight_sign(outputs: Tensor) -> Tensor:
    """sign(u) forward, identity backward (GreedyHash, its section 3.2)."""
    return cast(Tensor, _StraightSign.apply(outputs))


class _StraightBernoulli(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, uniform: Tensor) -> Tensor:
        return (probabilities > uniform).to(probabilities)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def straight_bernoulli(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """A 0/1 draw, 1 where probability > uniform; identity backward (JMLH, CIBHash)."""
    return cast(Tensor, _StraightBernoulli.apply(probabilities, uniform))


class _HalfHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outputs: Tensor, gamma: float) -> Tensor:
        codes = half_half(outputs)
        ctx.save_for_backward(outputs, codes)
        ctx.gamma = gamma
        return codes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        outputs, codes = ctx.saved_tensors
        return grads[0] + ctx.gamma * (outputs - codes) / outputs.numel(), None


def half_half(outputs: Tensor) -> Tensor:
    """Per bit, +1 for the floor(N/2) largest outputs of the batch and -1 for the others: (N, K)."""
    order = outputs.argsort(dim=0, descending=True, stable=True)
    codes = -torch.ones_like(outputs)
    return codes.scatter_(0, order[: len(outputs) // 2], 1.0)


def half_half_layer(outputs: Tensor, gamma: float) -> Tensor:
    """The bi-half layer: `half_half` forward, g + gamma (U - B) / (N K) backward (BiHalf, its eq. 8)."""
    return cast(Tensor, _HalfHalf.apply(outputs, gamma))


def component_wasserstein(outputs: Tensor, target: Tensor) -> Tensor:
    """HSWD: the mean over bits of the squared 2-Wasserstein distance between batch and target columns.

    In one dimension the optimal match is by rank: sort each column of both (N, K) and average the squares.
    """
    return (outputs.sort(dim=0).values - target.sort(dim=0).values).square().mean()


def sliced_wasserstein(outputs: Tensor, target: Tensor, directions: Tensor) -> Tensor:
    """SWD: as `component_wasserstein` after projecting both on unit directions (K, P)."""
    return component_wasserstein(outputs @ directions, target @ directions)


def assignment_wasserstein(outputs: Tensor, target: Tensor) -> Tensor:
    """OT: the exact optimal assignment between rows; mean squared difference over entries."""
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        cost = torch.cdist(outputs.double(), target.double()).square()
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    at = torch.as_tensor(columns, device=outputs.device)
    return (outputs[torch.as_tensor(rows, device=outputs.device)] - target[at]).square().mean()
