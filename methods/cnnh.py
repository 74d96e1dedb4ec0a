"""CNNH: supervised hashing by image representation learning, in two stages (Xia et al.; AAAI 2014)."""

from __future__ import annotations

from typing import ClassVar

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._pairs import SignedSimilarity
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import signs
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe, StepwiseMethod, StepwiseParams

Floats = NDArray[np.float64]


class CNNHParams(StepwiseParams):
    """`sweeps` over all entries of H. `labels`: weight of a softmax on the labels; 0 is CNNH, more is CNNH+."""

    sweeps: int = Field(default=10, ge=1)
    labels: float = Field(default=0.0, ge=0)


class CNNH(StepwiseMethod):
    """Stage 1: codes H with min |S - H H^T / K|_F^2, H in [-1, 1], signs taken. Stage 2: regress them (MSE).

    Stage 1 is the paper's coordinate descent (algorithm 1) with Newton steps. L = H H^T - K S is never formed:
    its products with a column follow from H^T H and from H summed over equal label sets. Labels and images
    share one index throughout. `objective` holds |S - H H^T / K|^2 after each sweep; it cannot rise.
    """

    info = MethodInfo(
        name="cnnh",
        title="CNNH",
        paper="Supervised Hashing for Image Retrieval via Image Representation Learning",
        year=2014,
        venue="AAAI",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("purple", "X", "dashed"),
    )
    Params = CNNHParams
    params: CNNHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-5)
    objective: list[float]

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network; CNNH+ adds a classifier on its outputs."""
        modules: dict[str, nn.Module] = {"hash": HashNetwork(task)}
        if self.params.labels:
            modules["classifier"] = nn.Linear(task.bits, task.classes)
        return modules

    def begin(self, data: HashData) -> None:
        """Stage 1: the target codes of all labelled images."""
        shape = (len(data.labels), data.task.bits)
        start = 2 * torch.rand(shape, generator=self.ctx.generator("codes"), dtype=torch.float64) - 1
        codes, self.objective = factorise(data.labels.cpu(), start, self.params.sweeps)
        self.buffers["codes"] = signs(codes).float().to(self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Stage 2: mean squared difference to the target codes."""
        losses = {"regression": (outputs - self.buffers["codes"][batch.index]).square().mean()}
        if self.params.labels:
            logits = self.networks["classifier"](outputs)
            losses["classification"] = self.params.labels * classification_loss(logits, batch.labels)
        return losses


def factorise(labels: Tensor, start: Tensor, sweeps: int) -> tuple[Tensor, list[float]]:
    """Coordinate descent on |S - H H^T / K|_F^2 over H in [-1, 1]^(n x K); returns H and the objective's values.

    labels (n, classes), start float64 (n, K). Stops when a sweep gains nothing.
    """
    similarity = SignedSimilarity(labels)
    pattern, table = similarity.pattern.numpy(), similarity.table.numpy()
    h = start.double().clone().numpy()
    sums = similarity.gather(start.double()).numpy()
    objective = [_objective(h, sums, table)]
    for _ in range(sweeps):
        _sweep(h, h.T @ h, sums, pattern, table)
        objective.append(_objective(h, sums, table))
        if objective[-1] >= objective[-2] - 1e-12 * objective[0]:
            break
    return torch.from_numpy(h), objective


def _objective(h: Floats, sums: Floats, table: Floats) -> float:
    n, bits = h.shape
    gram = h.T @ h
    cross = float((table * (sums @ sums.T)).sum())
    return float((gram**2).sum() - 2 * bits * cross + bits**2 * n**2) / bits**2


@numba.njit(cache=False)  # type: ignore[untyped-decorator]
def _sweep(h: Floats, gram: Floats, sums: Floats, pattern: NDArray[np.int64], table: Floats) -> None:
    """One Newton step on every entry of `h` (n, K), in place, with gram = h^T h and sums kept in step.

    For f = |H H^T - K S|^2 an entry's change d gives g d + c/2 d^2 + 4 H_ij d^3 + d^4, where
    g = 4 (L H)_ij and c = 4 (|H_.j|^2 + H_ij^2 + L_ii); d is clipped to the box and refused if f would rise.
    """
    n, bits = h.shape
    for i in range(n):
        squared = 0.0
        for k in range(bits):
            squared += h[i, k] * h[i, k]
        for j in range(bits):
            value = h[i, j]
            product = 0.0
            for k in range(bits):
                product += h[i, k] * gram[k, j]
            pulled = 0.0
            for q in range(len(sums)):
                pulled += table[pattern[i], q] * sums[q, j]
            slope = 4.0 * (product - bits * pulled)
            curve = 4.0 * (gram[j, j] + value * value + squared - bits)
            newton = -slope / curve if curve > 0.0 else -2.0 * np.sign(slope)
            change = min(max(newton, -1.0 - value), 1.0 - value)
            gain = slope * change + 0.5 * curve * change**2 + 4.0 * value * change**3 + change**4
            if gain >= 0.0:
                continue
            for k in range(bits):
                if k != j:
                    gram[j, k] += change * h[i, k]
                    gram[k, j] = gram[j, k]
            gram[j, j] += 2.0 * value * change + change * change
            squared += 2.0 * value * change + change * change
            sums[pattern[i], j] += change
            h[i, j] = value + change
