"""BRE: binary reconstructive embeddings, supervised (Kulis, Darrell; NIPS 2009)."""

from __future__ import annotations

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._kernels import KernelMethod, KernelParams
from benchmark.methods._pairs import similarity

Floats = NDArray[np.float64]


class BREParams(KernelParams):
    """`anchors` of the kernel hash functions, `labelled` images whose pairs are reconstructed, `sweeps` over
    all weights, `per_bit` weights changed for a bit in a sweep.
    """

    anchors: int = Field(default=50, ge=1)
    labelled: int = Field(default=1000, ge=2)
    sweeps: int = Field(default=4, ge=1)
    per_bit: int = Field(default=50, ge=1)


class BRE(KernelMethod):
    """min sum_ij (d_ij - (1/K) |b_i - b_j|^2)^2 over b in {0, 1}^K, b_k = [k(x) w_k > 0], by coordinate descent.

    Supervised targets: d = 0 for images that share a label, 1 for others (section 3.3 of the paper, as
    commonly described). One weight at a time is set to its exact optimum: as it grows, each image's bit flips
    once, so the best of the n + 1 states is found along the sorted flips. `errors` holds the mean squared
    reconstruction error after each sweep; it cannot rise.
    """

    info = MethodInfo(
        name="bre",
        title="BRE",
        paper="Learning to Hash with Binary Reconstructive Embeddings",
        year=2009,
        venue="NIPS",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        trained_by="closed-form",
        look=("blue", "v", "dashdotdotted"),
    )
    Params = BREParams
    params: BREParams
    errors: list[float]

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Coordinate descent from random weights on a random labelled subset."""
        p, bits = self.params, data.task.bits
        mapped, tensors = self.map_features(features, centred=True)
        mapped = mapped / mapped.std().clamp(min=1e-12)
        chosen = torch.randperm(len(mapped), generator=self.ctx.generator("labelled"))[: p.labelled]
        chosen = chosen.to(mapped.device)
        inputs = mapped[chosen].cpu().numpy()
        distances = (1.0 - similarity(data.labels[chosen].float())).double().cpu().numpy()
        weights = torch.randn(inputs.shape[1], bits, generator=self.ctx.generator("weights")).double().numpy()
        self.errors = []
        for sweep in range(p.sweeps):
            generator = self.ctx.generator("sweep", sweep)
            order = torch.stack([torch.randperm(inputs.shape[1], generator=generator) for _ in range(bits)])
            self.errors.append(descend(inputs, distances, weights, order[:, : p.per_bit].numpy()))
        return tensors | {"projection": torch.from_numpy(weights).to(features)}


def descend(inputs: Floats, distances: Floats, weights: Floats, order: NDArray[np.int64]) -> float:
    """One sweep in place over `weights` (m, K); returns the mean squared error over pairs i != j after it.

    inputs (n, m), distances (n, n) targets in [0, 1], order (K, p): which weights of each bit to change.
    """
    n, bits = len(inputs), weights.shape[1]
    codes = np.where(inputs @ weights > 0, 1.0, -1.0)
    inner = codes @ codes.T
    for k in range(bits):
        others = (bits - 1 - (inner - np.outer(codes[:, k], codes[:, k]))) / (2 * bits)
        # with x_ij = 1 where bit k differs: sum (d - others - x/K)^2 = const + sum A_ij x_ij
        gains = 1 / bits**2 - 2 * (distances - others) / bits
        np.fill_diagonal(gains, 0.0)
        before = codes[:, k].copy()
        values = inputs @ weights[:, k]
        for q in order[k]:
            weights[q, k] = best_weight(np.ascontiguousarray(inputs[:, q]), values, weights[q, k], gains)
            values = inputs @ weights[:, k]
        codes[:, k] = np.where(values > 0, 1.0, -1.0)
        inner += np.outer(codes[:, k], codes[:, k]) - np.outer(before, before)
    error = (distances - (bits - inner) / (2 * bits)) ** 2
    np.fill_diagonal(error, 0.0)
    return float(error.sum() / max(1, n * (n - 1)))


def best_weight(column: Floats, values: Floats, weight: float, gains: Floats) -> float:
    """The value of one weight that minimises sum_ij A_ij [bits of i and j differ].

    column (n,): the input that the weight multiplies; values (n,): the outputs at the current `weight`;
    gains (n, n): A, symmetric with a zero diagonal. The current weight is kept unless another is better.
    """
    moving = np.abs(column) > 1e-9
    rest = values - weight * column
    flips = np.where(moving, -rest / np.where(moving, column, 1.0), np.inf)
    order = np.argsort(flips[moving], kind="stable")
    rows = np.nonzero(moving)[0][order]
    start = np.where(moving, -np.sign(column), np.where(rest > 0, 1.0, -1.0))
    # sum_ij A_ij x_ij = const - s^T A s / 2, so the state with the largest s^T A s is wanted
    now = np.where(values > 0, 1.0, -1.0)
    best, place = _scan(start, rows, gains)
    if best <= float(now @ gains @ now) + 1e-9 or not len(rows):
        return weight
    points = flips[rows]
    if place == 0:
        return float(points[0] - 1.0)
    if place == len(rows):
        return float(points[-1] + 1.0)
    return float((points[place - 1] + points[place]) / 2)


@numba.njit(cache=False)  # type: ignore[untyped-decorator]
def _scan(start: Floats, rows: NDArray[np.int64], gains: Floats) -> tuple[float, int]:
    """Flip `rows` one by one from `start`; the largest s^T A s seen and after how many flips."""
    s = start.copy()
    field = gains @ s
    value = 0.0
    for i in range(len(s)):
        value += s[i] * field[i]
    best, place = value, 0
    for count in range(len(rows)):
        i = rows[count]
        value -= 4.0 * s[i] * field[i]
        for j in range(len(s)):
            field[j] -= 2.0 * s[i] * gains[i, j]
        s[i] = -s[i]
        if value > best + 1e-9:
            best, place = value, count + 1
    return best, place
