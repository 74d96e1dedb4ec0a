"""LFH: supervised hashing with latent factor models (Zhang, Zhang, Li, Guo; SIGIR 2014)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._features import ShallowMethod, ShallowParams
from benchmark.methods._kernels import ridge
from benchmark.methods._pairs import pair_likelihood, similarity


class LFHParams(ShallowParams):
    """beta: prior variance of the factors; lambda_: ridge of the out-of-sample regression; `columns` sampled
    per iteration.
    """

    beta: float = Field(default=30.0, gt=0)
    lambda_: float = Field(default=1.0, gt=0)
    iterations: int = Field(default=50, ge=1)
    columns: int = Field(default=64, ge=1)


class LFH(ShallowMethod):
    """Maximise sum_ij log P(s_ij | 1/2 u_i^T u_j) - |U|^2 / (2 beta) over U, codes sign(U) (eq. 4).

    Stochastic learning of section 3.3, as commonly described: sample columns, then give every row one Newton
    step against them with the Hessian's bound -(1/8) sum_j u_j u_j^T - I / beta, which cannot lower the sampled
    objective. New images go through a ridge regression of U on the features.
    """

    info = MethodInfo(
        name="lfh",
        title="LFH",
        paper="Supervised Hashing with Latent Factor Models",
        year=2014,
        venue="SIGIR",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        trained_by="closed-form",
        look=("green", "<", "densely dashdotted"),
    )
    Params = LFHParams
    params: LFHParams

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Latent factors of the labelled images, then the regression."""
        n, p = len(features), self.params
        labels = data.labels.float()
        start = torch.randn(n, data.task.bits, generator=self.ctx.generator("factors"), dtype=torch.float64)
        factors = start.to(features.device)
        for iteration in range(p.iterations):
            order = torch.randperm(n, generator=self.ctx.generator("columns", iteration))
            columns = order[: p.columns].to(features.device)
            similar = similarity(labels, labels[columns]).double()
            mask = torch.ones_like(similar)
            mask[columns, torch.arange(len(columns), device=mask.device)] = 0
            factors = newton_step(factors, factors[columns], similar, mask, p.beta)
        scaled = factors / factors.std().clamp(min=1e-12)
        x = features.double()
        weight = p.lambda_ * float(x.square().mean())
        return {"projection": ridge(x, scaled, weight).float()}


def sampled_objective(rows: Tensor, columns: Tensor, similar: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Each row's share of the log-posterior against fixed columns: (n,).

    Pairs count twice (i, j and j, i), as in the sum over the whole matrix.
    """
    theta = rows @ columns.T / 2
    likelihood = -(pair_likelihood(theta, similar) * mask).sum(dim=1)
    return 2 * likelihood - rows.square().sum(dim=1) / (2 * beta)


def newton_step(rows: Tensor, columns: Tensor, similar: Tensor, mask: Tensor, beta: float) -> Tensor:
    """u_i + (1/8 sum_j u_j u_j^T + I / beta)^-1 (sum_j (s_ij - sigma(theta_ij)) u_j - u_i / beta) for all rows."""
    theta = rows @ columns.T / 2
    gradient = ((similar - torch.sigmoid(theta)) * mask) @ columns - rows / beta
    bound = columns.T @ columns / 8 + torch.eye(rows.shape[1]).to(rows) / beta
    return rows + torch.linalg.solve(bound, gradient.T).T
