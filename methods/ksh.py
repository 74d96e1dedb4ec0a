"""KSH: supervised hashing with kernels (Liu, Wang, Ji, Jiang, Chang; CVPR 2012)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._kernels import KernelMethod, KernelParams
from benchmark.methods._pairs import SignedSimilarity


class KSHParams(KernelParams):
    """`iterations` of gradient refinement per bit (0 keeps the spectral relaxation)."""

    iterations: int = Field(default=100, ge=0)


class KSH(KernelMethod):
    """min |(1/K) sum_k b_k b_k^T - S|_F^2 over b_k = sign(k(X) a_k), S of +-1, bit by bit (eq. 7 to 14).

    With residual R = K S - sum_{t<k} b_t b_t^T, bit k maximises b^T R b: first by the generalised eigenproblem
    k(X)^T R k(X) a = lambda k(X)^T k(X) a, then by accelerated gradient steps on the smoothed sign
    phi(z) = 2 / (1 + e^-z) - 1, and the better of the two is kept. S is never formed.
    """

    info = MethodInfo(
        name="ksh",
        title="KSH",
        paper="Supervised Hashing with Kernels",
        year=2012,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        trained_by="closed-form",
        look=("black", "D", "densely dotted"),
    )
    Params = KSHParams
    params: KSHParams

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Greedy over bits; the anchor features are centred, as the paper asks."""
        mapped, tensors = self.map_features(features, centred=True)
        residual = _Residual(SignedSimilarity(data.labels), data.task.bits)
        gram = mapped.T @ mapped
        # Equal images have anchor features of 0: their matrix would have no Cholesky factor.
        ridge = 1e-6 * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram)).to(gram)
        lower = torch.linalg.cholesky(gram + ridge)
        for _ in range(data.task.bits):
            vector = spectral_direction(mapped, residual @ mapped, lower)
            refined = refine(mapped, residual, vector, self.params.iterations)
            best = max((vector, refined), key=lambda a: residual.quality(_sign(mapped @ a)))
            residual.add(best, _sign(mapped @ best))
        return tensors | {"projection": torch.stack(residual.directions, dim=1).float()}


class _Residual:
    """R = K S - sum_t b_t b_t^T as an operator."""

    def __init__(self, similarity: SignedSimilarity, bits: int) -> None:
        self.similarity, self.bits = similarity, bits
        self.directions: list[Tensor] = []
        self.codes: list[Tensor] = []

    def __matmul__(self, matrix: Tensor) -> Tensor:
        result = self.bits * (self.similarity @ matrix)
        if self.codes:
            known = torch.stack(self.codes, dim=1)
            result = result - known @ (known.T @ matrix)
        return result

    def quality(self, code: Tensor) -> float:
        """b^T R b; larger is better."""
        return float(code @ (self @ code[:, None])[:, 0])

    def add(self, direction: Tensor, code: Tensor) -> None:
        self.directions.append(direction)
        self.codes.append(code)


def spectral_direction(mapped: Tensor, applied: Tensor, lower: Tensor) -> Tensor:
    """The leading generalised eigenvector of (mapped^T applied, L L^T), scaled to |mapped a|^2 = n."""
    middle = mapped.T @ applied
    half = torch.linalg.solve_triangular(lower, (middle + middle.T) / 2, upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    top = torch.linalg.eigh((whitened + whitened.T) / 2).eigenvectors[:, -1:]
    vector = torch.linalg.solve_triangular(lower.T, top, upper=True)[:, 0]
    return vector * (len(mapped) / (mapped @ vector).square().sum().clamp(min=1e-12)).sqrt()


def smooth_gradient(mapped: Tensor, residual: _Residual, vector: Tensor) -> tuple[float, Tensor]:
    """-phi^T R phi with phi = 2 sigmoid(mapped a) - 1 = tanh(mapped a / 2), and its gradient in a."""
    phi = torch.tanh(mapped @ vector / 2)
    applied = (residual @ phi[:, None])[:, 0]
    return -float(phi @ applied), -(mapped.T @ (applied * (1 - phi.square())))


def refine(mapped: Tensor, residual: _Residual, vector: Tensor, iterations: int) -> Tensor:
    """Nesterov's accelerated gradient with a backtracking step; returns the last accepted point."""
    previous, current, momentum, rate = vector, vector, 1.0, 1.0
    value, gradient = smooth_gradient(mapped, residual, vector)
    rate = float(vector.norm() / gradient.norm().clamp(min=1e-12))
    for _ in range(iterations):
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        point = current + (momentum - 1) / following * (current - previous)
        at, gradient = smooth_gradient(mapped, residual, point)
        square = float(gradient.square().sum())
        for _ in range(20):
            candidate = point - rate * gradient
            value = smooth_gradient(mapped, residual, candidate)[0]
            if value <= at - 0.5 * rate * square:
                break
            rate /= 2
        else:
            return current
        previous, current, momentum = current, candidate, following
    return current


def _sign(values: Tensor) -> Tensor:
    return torch.where(values >= 0, 1.0, -1.0).to(values)
