"""Decompositions by the smaller side: of fewer images than dimensions, from the Gram matrix of the images."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.methods import _features


def principal_directions(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` leading eigenvectors (d, count) of the covariance of centred features, and the eigenvalues.

    Both float64, in falling order. Of n < d images the n by n matrix is decomposed: the same directions up to
    their signs, which are chosen so that each one's largest entry is positive. Beyond the images' span, where every
    eigenvalue is 0, the directions are a fixed random orthonormal set.
    """
    n, size = features.shape
    if n >= size:
        return _features.principal_directions(features, count)
    basis, values = span(features.double())
    basis, values = basis[:, :count], values[:count]
    rest = min(count, size) - basis.shape[1]
    if rest:
        noise = torch.randn(size, rest, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        basis = torch.cat([basis, _orthonormal(torch.cat([basis, noise.to(basis)], dim=1))[:, -rest:]], dim=1)
        values = torch.cat([values, values.new_zeros(rest)])
    return basis, values


def span(x: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal directions (d, r) that span the rows of x (n, d), and the eigenvalues (r,) of x^T x / n there.

    In falling order, from the n by n matrix x x^T; r is its numerical rank.
    """
    values, vectors = torch.linalg.eigh(x @ x.T / len(x))
    values, vectors = values.flip(0), vectors.flip(1)
    rank = max(1, int((values > values[0] * len(x) * torch.finfo(values.dtype).eps).sum()))
    basis = _orthonormal(x.T @ vectors[:, :rank])
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    return basis * torch.where(largest < 0, -1.0, 1.0), values[:rank]


def _orthonormal(columns: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis
