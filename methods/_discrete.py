"""Closed-form steps on binary codes, shared by SDH and DSDH. Codes are rows: B is (n, K), W is (K, C)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.methods._kernels import ridge


def random_codes(n: int, bits: int, generator: torch.Generator) -> Tensor:
    """Fair random signs (n, bits), float32."""
    return torch.randint(0, 2, (n, bits), generator=generator).float() * 2 - 1


def classifier_step(codes: Tensor, labels: Tensor, weight: float) -> Tensor:
    """W = (B^T B + weight I)^-1 B^T Y, the minimiser of |Y - B W|^2 + weight |W|^2: (K, C)."""
    return ridge(codes, labels, weight)


def coordinate_step(codes: Tensor, w: Tensor, pull: Tensor, sweeps: int) -> Tensor:
    """Discrete cyclic coordinate descent: minimise |Y - B W|^2 - 2 <B, rest> over B in {-1, 1}^(n x K).

    `pull` (n, K) is Y W^T plus whatever else pulls the codes (nu P^T phi in SDH, eta/mu U in DSDH). Bit k's
    exact minimiser is sign(q_k - B' W' w_k), B' and W' without bit k. Stops when a sweep changes nothing.
    """
    codes = codes.clone()
    gram = w @ w.T
    gram.fill_diagonal_(0)
    for _ in range(sweeps):
        before = codes.clone()
        for k in range(codes.shape[1]):
            codes[:, k] = torch.where(pull[:, k] - codes @ gram[:, k] >= 0, 1.0, -1.0).to(codes)
        if torch.equal(before, codes):
            break
    return codes
