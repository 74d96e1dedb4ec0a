"""DPSH: feature learning based deep supervised hashing with pairwise labels (Li, Wang, Kang; IJCAI 2016)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._buffers import PairChoice, PairwiseMethod, PairwiseParams
from benchmark.methods._pairs import masked_mean, pair_likelihood
from benchmark.methods._quantisers import sign_error
from benchmark.methods._stepwise import Batch, Recipe


class DPSHParams(PairwiseParams):
    """eta: weight of the mean quantisation error beside the mean over pairs (both public PyTorch versions)."""

    pairs: PairChoice = "auto"
    eta: float = Field(default=0.1, ge=0)


class DPSH(PairwiseMethod):
    """Mean over pairs of log(1 + e^theta) - s theta, plus eta mean (u - sign u)^2; theta = 1/2 u_i^T u_j (eq. 5).

    The paper sums both terms; means keep the weight independent of the size of the training set.
    """

    info = MethodInfo(
        name="dpsh",
        title="DPSH",
        paper="Feature Learning based Deep Supervised Hashing with Pairwise Labels",
        year=2016,
        venue="IJCAI",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("orange", "P", "densely dotted"),
    )
    Params = DPSHParams
    params: DPSHParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="rmsprop", lr=1e-5, weight_decay=1e-5)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likelihood against all training images, and the quantisation error."""
        others = self.partners(outputs, batch)
        theta = outputs @ others.outputs.T / 2
        return {
            "pairwise": masked_mean(pair_likelihood(theta, others.similar), others.mask),
            "quantisation": self.params.eta * sign_error(outputs),
        }
