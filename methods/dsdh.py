"""DSDH: deep supervised discrete hashing (Li, Sun, He, Tan; NIPS 2017)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._buffers import PairChoice, PairwiseMethod, PairwiseParams, allocate
from benchmark.methods._discrete import classifier_step, coordinate_step, random_codes
from benchmark.methods._pairs import masked_mean, pair_likelihood
from benchmark.methods._stepwise import Batch, Recipe

#: Training images of the paper's own experiments (CIFAR-10, 500 a class), to which its eta = 55 belongs.
PAPER_IMAGES = 5000


class DSDHParams(PairwiseParams):
    """mu: weight of the classification of codes; nu: of |W|^2; eta: of |B - U|^2 beside the sum over the pairs of
    5,000 images. `sweeps` of coordinate descent once an epoch. `quantise` False drops the eta term from the
    network's loss (for a plug-in quantiser): the discrete part then no longer reaches the network.
    """

    pairs: PairChoice = "auto"
    mu: float = Field(default=1.0, gt=0)
    nu: float = Field(default=0.1, gt=0)
    eta: float = Field(default=55.0, ge=0)
    sweeps: int = Field(default=10, ge=1)
    quantise: bool = True


class DSDH(PairwiseMethod):
    """min sum l(1/2 u_i^T u_j, s_ij) + mu |Y - W^T B|^2 + nu |W|^2 + eta |B - U|^2 over B in {-1, 1} (eq. 9).

    Once an epoch W and then B are solved for over the whole set; between, the network minimises the likelihood
    plus eta |b_i - u_i|^2. Some public versions leave that last term out, so that labels never reach the
    network through B. The network's loss is the paper's sum divided by images and by pairs per image: the term's
    weight beside the mean over pairs is eta / 5,000 for any number of images, as in the paper's experiments. With
    eta / n fewer images would mean a stronger pull to codes that start at random.
    """

    info = MethodInfo(
        name="dsdh",
        title="DSDH",
        paper="Deep Supervised Discrete Hashing",
        year=2017,
        venue="NIPS",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("blue", "o", "densely dashdotted"),
    )
    Params = DSDHParams
    params: DSDHParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="rmsprop", lr=1e-5, weight_decay=1e-5, schedule="cosine"
    )

    def begin(self, data: HashData) -> None:
        """Buffers of outputs and codes; codes start at random signs."""
        allocate(self, data)
        n = len(data.labels)
        codes = random_codes(n, data.task.bits, self.ctx.generator("codes"))
        self.buffers["codes"] = codes.to(self.ctx.device)
        self.per_epoch = max(1, -(-n // max(1, min(self.ctx.batch_size, n))))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """At the start of every epoch but the first, solve for W and B; then one update of the network."""
        if batch.step and batch.step % self.per_epoch == 0:
            self.solve_codes()
        return super().step(batch)

    def solve_codes(self) -> None:
        """W by ridge regression of labels on codes, B by discrete coordinate descent."""
        p, codes = self.params, self.buffers["codes"]
        w = classifier_step(codes, self.set_labels, p.nu / p.mu)
        pull = self.set_labels @ w.T + p.eta / p.mu * self.buffers["outputs"]
        self.buffers["codes"] = coordinate_step(codes, w, pull, p.sweeps)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likelihood and the pull towards the discrete codes."""
        others = self.partners(outputs, batch)
        theta = outputs @ others.outputs.T / 2
        losses = {"pairwise": masked_mean(pair_likelihood(theta, others.similar), others.mask)}
        if self.params.quantise:
            gap = (outputs - self.buffers["codes"][batch.index]).square().sum(dim=1).mean()
            losses["quantisation"] = self.params.eta / PAPER_IMAGES * gap
        return losses
