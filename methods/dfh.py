"""DFH: push for quantization, deep Fisher hashing (Li, Pei, Zha, van Gemert; BMVC 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._buffers import PairChoice, PairwiseMethod, PairwiseParams
from benchmark.methods._centres import bernoulli
from benchmark.methods._pairs import masked_mean
from benchmark.methods._quantisers import signs
from benchmark.methods._stepwise import Batch, Recipe


class DFHParams(PairwiseParams):
    """margin m; mu: pull of the class centre on a code; v: separation and n: quantisation of centres; eta: weight
    of the quantisation error. Defaults are the release's (m 0, mu 1); a popular version has m 3, mu 0.1.

    `centres`: `discrete` solves for binary centres column by column, `relaxed` takes `inner` gradient steps on
    real ones, as the paper does, at that many times the cost.
    """

    pairs: PairChoice = "auto"
    margin: float = Field(default=0.0, ge=0)
    mu: float = Field(default=1.0, ge=0)
    v: float = Field(default=1.0, ge=0)
    n: float = Field(default=1.0, ge=0)
    eta: float = Field(default=0.5, ge=0)
    centres: Literal["discrete", "relaxed"] = "discrete"
    inner: int = Field(default=200, ge=1)


class DFH(PairwiseMethod):
    """Margin likelihood, theta = 1/2 u^T U, plus eta mean (b - u)^2 with b_i = sign(mu C y_i + u_i) (section 3).

    Mean of (1 - s) log(1 + e^(m + theta)) + s log(1 + e^(m - theta)). C are binary class centres that fit the
    batch's codes and lie far apart, refreshed at every update. Multi-hot labels are divided by their count.
    """

    info = MethodInfo(
        name="dfh",
        title="DFH",
        paper="Push for Quantization: Deep Fisher Hashing",
        year=2019,
        venue="BMVC",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("purple", "D", "solid"),
    )
    Params = DFHParams
    params: DFHParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd", lr=1e-2, weight_decay=5e-4, schedule="steps", drops=3.0, decay=0.1
    )

    def begin(self, data: HashData) -> None:
        """Buffers, and random centres (K, classes)."""
        super().begin(data)
        centres = bernoulli(data.task.bits, data.task.classes, self.ctx.generator("centres"))
        self.buffers["centres"] = centres.to(self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The margin likelihood and the pull towards centre-guided codes."""
        p = self.params
        others = self.partners(outputs, batch)
        theta = outputs @ others.outputs.T / 2
        apart = (1 - others.similar) * softplus(p.margin + theta)
        likelihood = apart + others.similar * softplus(p.margin - theta)
        codes = self.codes(outputs.detach(), batch.labels)
        return {
            "pairwise": masked_mean(likelihood, others.mask),
            "quantisation": p.eta * (codes - outputs).square().mean(),
        }

    def codes(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """b = sign(mu C y + u) with the current centres; then refresh the centres from b."""
        p = self.params
        shares = (labels / labels.sum(dim=1, keepdim=True).clamp(min=1)).to(outputs)
        centres = self.buffers["centres"].to(outputs)
        codes = signs(p.mu * shares @ centres.sign().T + outputs)
        refresh = discrete_centres if p.centres == "discrete" else self._relaxed
        self.buffers["centres"] = refresh(centres, codes, shares, p.v).to(self.buffers["centres"])
        return codes

    def _relaxed(self, centres: Tensor, codes: Tensor, shares: Tensor, v: float) -> Tensor:
        return relaxed_centres(centres, codes, shares, v, self.params.n, self.params.inner)


def discrete_centres(centres: Tensor, codes: Tensor, shares: Tensor, v: float) -> Tensor:
    """One sweep over classes lowering |B - C Y|^2 + v |C 1|^2 over C in {-1, 1}^(K x classes).

    Column c's exact minimiser is sign(q - C' Y' y - v C' 1): q sums the class's codes, primes drop column c.
    codes (b, K), shares (b, classes).
    """
    centres = centres.sign()
    sums, overlap = codes.T @ shares, shares.T @ shares
    overlap.fill_diagonal_(0)
    for c in range(centres.shape[1]):
        rest = centres.sum(dim=1) - centres[:, c]
        wanted = sums[:, c] - centres @ overlap[:, c] - v * rest
        centres[:, c] = torch.where(wanted == 0, centres[:, c], wanted.sign())
    return centres


def relaxed_centres(centres: Tensor, codes: Tensor, shares: Tensor, v: float, n: float, steps: int) -> Tensor:
    """Gradient steps on mean (V Y^T - B)^2 + v mean (V^T V - K (2I - 11^T))^2 + n mean (V - sign V)^2.

    Rate 0.03, a tenth of it after 3/4 of the steps and again after 9/10; gradients in closed form.
    """
    for step in range(steps):
        rate = 0.03 * 0.1 ** ((step >= 0.75 * steps) + (step >= 0.9 * steps))
        centres = centres - rate * centre_gradient(centres, codes, shares, v, n)
    return centres


def centre_objective(centres: Tensor, codes: Tensor, shares: Tensor, v: float, n: float) -> Tensor:
    """The relaxed objective of the centres."""
    apart = centres.T @ centres - _separated(centres)
    fit = (centres @ shares.T - codes.T).square().mean()
    return fit + v * apart.square().mean() + n * (centres - signs(centres)).square().mean()


def centre_gradient(centres: Tensor, codes: Tensor, shares: Tensor, v: float, n: float) -> Tensor:
    """The gradient of `centre_objective` in the centres."""
    fit = 2 * (centres @ shares.T - codes.T) @ shares / codes.numel()
    apart = centres.T @ centres - _separated(centres)
    spread = 4 * centres @ apart / apart.numel()
    return fit + v * spread + n * 2 * (centres - signs(centres)) / centres.numel()


def _separated(centres: Tensor) -> Tensor:
    bits, classes = centres.shape
    return bits * (2 * torch.eye(classes).to(centres) - 1)
