"""my-method: one line on the idea (authors; venue and year)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.losses import magnitude_error, masked_mean, off_diagonal, pair_likelihood, similarity
from benchmark.stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class MyMethodParams(StepwiseParams):
    """Typed hyper-parameters with the paper's defaults; a key that is not here is refused.

    weight: of the quantisation term.
    """

    weight: float = Field(default=0.1, ge=0)


class MyMethod(StepwiseMethod):
    """What the loss is, with the paper's equation. This starting point: pairwise likelihood on inner products.

    `loss` gets the outputs (b, bits) of backbone and hash layer for a batch and returns named terms, whose sum
    is minimised. Override `build` for another network or more modules (every module there is trained), `begin`
    to look at the training set first, `step` for several losses or optimisers.
    """

    info = MethodInfo(
        name="my-method",
        title="my-method",
        paper="Title of the paper",
        year=2026,
        venue="unpublished",
        version=1,
        labels=("single", "multi"),
        supervision="pairwise",
    )
    Params = MyMethodParams
    params: MyMethodParams
    #: The paper's optimiser, used with pre-trained weights; untrained backbones share one recipe.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-3, weight_decay=5e-4)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The named loss terms, weights included."""
        similar = similarity(batch.labels)
        theta = outputs @ outputs.T / outputs.shape[1] ** 0.5
        pairs = off_diagonal(len(outputs), outputs.device)
        return {
            "pairwise": masked_mean(pair_likelihood(theta, similar), pairs),
            "quantisation": self.params.weight * magnitude_error(outputs),
        }
