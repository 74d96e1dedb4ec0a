"""ITQ: iterative quantisation (Gong, Lazebnik; CVPR 2011, TPAMI 2013 with Gordo and Perronnin)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo, Task
from methods._features import ShallowMethod, ShallowParams


class ITQParams(ShallowParams):
    """`iterations` of the alternation; the paper uses 50."""

    iterations: int = Field(default=50, ge=1)


class ITQ(ShallowMethod):
    """PCA to K dimensions, then the rotation R that brings V R closest to its signs (eq. 2).

    min |B - V R|_F over B in {-1, 1} and orthogonal R, alternating B = sign(V R) and the Procrustes
    solution: with B^T V = P S Q^T, R = Q P^T. The error cannot rise in exact arithmetic; `errors` keeps it.
    """

    info = MethodInfo(
        name="itq",
        title="ITQ",
        paper="Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
        year=2011,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        trained_by="closed-form",
    )
    Params = ITQParams
    params: ITQParams
    errors: list[float]

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """PCA gives no more directions than the features have dimensions."""
        size = task.channels * task.height * task.width
        if task.weights == "none" and task.bits > size:
            return f"ITQ needs bits <= feature dimensions: {task.bits} > {size}"
        return None

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """PCA by eigenvectors of the covariance, then the alternation from a random rotation."""
        bits = data.task.bits
        x = features.double()
        vectors = torch.linalg.eigh(x.T @ x / len(x)).eigenvectors
        principal = vectors.flip(1)[:, :bits]
        rotation = _random_rotation(bits, self.ctx.generator("rotation")).to(x)
        projected = x @ principal
        self.errors = []
        for _ in range(self.params.iterations):
            signs = torch.where(projected @ rotation >= 0, 1.0, -1.0).to(x)
            left, _, right = torch.linalg.svd(signs.T @ projected)
            rotation = right.T @ left.T
            self.errors.append(float((signs - projected @ rotation).square().sum() / len(x)))
        return {"projection": (principal @ rotation).float()}


def _random_rotation(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix, Haar distributed: QR with the signs of the diagonal made positive."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return q * torch.sign(torch.diagonal(r))
