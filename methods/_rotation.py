"""ITQ's alternation, shared by ITQ and ITQ-CCA."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(
    projected: Tensor, bits: int, iterations: int, generator: torch.Generator
) -> tuple[Tensor, list[float]]:
    """Minimise |B - V R|_F^2 over B in {-1, 1}^(n x bits) and R with orthonormal rows; V is `projected` (n, k).

    Alternates B = sign(V R) with the Procrustes solution: for B^T V = P S Q^T, R = Q P^T. (Taking R = Q^T P^T,
    as some public code does, is orthogonal too but does not lower the error.) k <= bits; with k < bits the
    bits are an over-complete set of directions, which is V padded by zero columns.

    Returns R (k, bits) and the error per image after each iteration, which cannot rise in exact arithmetic.
    """
    rotation = random_rotation(bits, generator).to(projected)[: projected.shape[1]]
    errors = []
    for _ in range(iterations):
        signs = torch.where(projected @ rotation >= 0, 1.0, -1.0).to(projected)
        left, _, right = torch.linalg.svd(signs.T @ projected, full_matrices=False)
        rotation = right.T @ left.T
        errors.append(float((signs - projected @ rotation).square().sum() / len(projected)))
    return rotation, errors


def random_rotation(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix, Haar distributed: QR with the signs of the diagonal made positive."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return q * torch.sign(torch.diagonal(r))
