"""DBDH: deep balanced discrete hashing for image retrieval (Zheng, Zhang, Lu; Neurocomputing 2020)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairChoice, PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, pair_likelihood
from benchmark.methods._stepwise import Batch, Recipe


class DBDHParams(PairwiseParams):
    """alpha and `power` of the balance term |mean over bits of u|^p."""

    pairs: PairChoice = "auto"
    alpha: float = Field(default=0.1, ge=0)
    power: float = Field(default=2.0, ge=1)


class DBDH(PairwiseMethod):
    """Likelihood with theta = 1/2 u^T U on outputs clamped to [-1, 1], plus alpha mean_i |mean_k u_ik|^p.

    The balance is between the bits of one image. The clamp is the only quantisation; it has no gradient
    outside its range.
    """

    info = MethodInfo(
        name="dbdh",
        title="DBDH",
        paper="Deep Balanced Discrete Hashing for Image Retrieval",
        year=2020,
        venue="Neurocomputing",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("sky blue", "p", "solid"),
    )
    Params = DBDHParams
    params: DBDHParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="rmsprop", lr=1e-5, weight_decay=1e-5, schedule="steps", drops=3.0, decay=0.1
    )

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likelihood on clamped outputs, and the balance term."""
        clamped = outputs.clamp(-1, 1)
        others = self.partners(clamped, batch)
        theta = clamped @ others.outputs.T / 2
        balance = clamped.mean(dim=1).abs().pow(self.params.power).mean()
        return {
            "pairwise": masked_mean(pair_likelihood(theta, others.similar), others.mask),
            "balance": self.params.alpha * balance,
        }
