"""ADSH: asymmetric deep supervised hashing (Jiang, Li; AAAI 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._buffers import allocate, store
from benchmark.methods._discrete import random_codes
from benchmark.methods._pairs import similarity
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class ADSHParams(StepwiseParams):
    """gamma: weight of |v_i - tanh(u_i)|^2; `rounds` of network training and discrete step, spread over the
    budget; `sample`: the most images of a round that the discrete step uses, drawn at random.
    """

    gamma: float = Field(default=200.0, ge=0)
    rounds: int = Field(default=50, ge=1)
    sample: int = Field(default=2000, ge=1)


class ADSH(StepwiseMethod):
    """sum_{i in O} sum_j (tanh(u_i)^T v_j - K S_ij)^2 + gamma sum_{i in O} |v_i - tanh(u_i)|^2 (eq. 3).

    V in {-1, 1} are free codes of the database, here of the labelled training set alone: images that are searched
    are encoded by the network like any other (the release ranks by V, learnt from every database label, which
    is no comparable number). S is 1 for similar and -r for dissimilar pairs, r = similar / dissimilar pairs.
    O is what a round's batches visit, or `sample` of it drawn anew each round; then V is solved for bit by bit.
    """

    info = MethodInfo(
        name="adsh",
        title="ADSH",
        paper="Asymmetric Deep Supervised Hashing",
        year=2018,
        venue="AAAI",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("vermillion", "p", "densely dotted"),
    )
    Params = ADSHParams
    params: ADSHParams
    #: The release's SGD has no momentum.
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd", lr=1e-3, momentum=0.0, weight_decay=5e-4, schedule="steps", drops=5.0, decay=0.1
    )
    set_labels: Tensor

    def begin(self, data: HashData) -> None:
        """Buffers of outputs and free codes, and the share of similar pairs."""
        allocate(self, data)
        codes = random_codes(len(data.labels), data.task.bits, self.ctx.generator("codes"))
        self.buffers["codes"] = codes.to(self.ctx.device)
        self.ratio = similar_ratio(self.set_labels)
        self.per_round = max(1, self.ctx.updates // self.params.rounds)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One update; at the end of a round, the discrete step over the images that it visited."""
        scalars = super().step(batch)
        if (batch.step + 1) % self.per_round == 0:
            self.solve_codes(batch.step)
        return scalars

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The batch's share of the objective, divided by the number of pairs."""
        codes, bits = torch.tanh(outputs), outputs.shape[1]
        store(self, codes, batch)
        target = self.target(batch.labels)
        v = self.buffers["codes"].to(outputs)
        gap = (codes - v[batch.index]).square().sum(dim=1).mean()
        return {
            "pairwise": (codes @ v.T - bits * target).square().mean(),
            "quantisation": self.params.gamma / len(v) * gap,
        }

    def target(self, labels: Tensor) -> Tensor:
        """S against the whole set: 1 or -r, (b, n)."""
        similar = similarity(labels, self.set_labels)
        return similar - self.ratio * (1 - similar)

    def solve_codes(self, step: int) -> None:
        """The discrete step over images seen in this round, at most `sample` drawn for `step`; then a new round."""
        rows = self.buffers["seen"].nonzero()[:, 0]
        if len(rows) > self.params.sample:  # not the first ones: of a set sorted by class those miss classes
            order = torch.randperm(len(rows), generator=self.ctx.generator("sample", step))
            rows = rows[order[: self.params.sample].to(rows.device)]
        u = self.buffers["outputs"][rows]
        target = self.target(self.set_labels[rows])
        self.buffers["codes"] = database_step(self.buffers["codes"], u, target, rows, self.params.gamma)
        self.buffers["seen"].zero_()


def similar_ratio(labels: Tensor) -> float:
    """Similar pairs / dissimilar pairs over all ordered pairs; 1 when none is dissimilar."""
    total = sum(float(similarity(part, labels).sum()) for part in labels.split(1024))
    apart = len(labels) ** 2 - total
    return total / apart if apart else 1.0


def database_step(codes: Tensor, u: Tensor, target: Tensor, rows: Tensor, gamma: float) -> Tensor:
    """Minimise |U V^T - K S|^2 + gamma |V_O - U|^2 over V in {-1, 1}^(n x K), bit by bit (eq. 10).

    v_k = -sign(2 V' U'^T u_k + q_k) with Q = -2 K S^T U - 2 gamma U scattered to n rows; primes drop bit k.
    codes (n, K), u (m, K), target (m, n), rows (m,): where u's images stand in the set.
    """
    codes = codes.clone()
    q = -2 * u.shape[1] * (target.T @ u)
    q.index_add_(0, rows, u, alpha=-2 * gamma)
    gram = 2 * (u.T @ u)
    gram.fill_diagonal_(0)
    for k in range(u.shape[1]):
        codes[:, k] = torch.where(codes @ gram[:, k] + q[:, k] <= 0, 1.0, -1.0).to(codes)
    return codes
