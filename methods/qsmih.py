"""QSMIH: hashing by quadratic spherical mutual information (Passalis, Tefas; SPIC 2021)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from benchmark.contracts import MethodInfo
from benchmark.methods._pairs import cosine, similarity
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class QSMIHParams(StepwiseParams):
    """alpha: weight of the summed pull towards +-1; `square_clamp`: the paper's bounded form of the information."""

    alpha: float = Field(default=0.01, ge=0)
    square_clamp: bool = True


class QSMIH(StepwiseMethod):
    """With Y = (cos(u_i, u_j) + 1) / 2, D = s and M = N^2 / sum D: sum (D Y - 1)^2 + Y^2 / M, or sum Y / M - D Y.

    Plus alpha sum | |u| - 1 | on the raw outputs (on unit-normalised ones, as one re-implementation has it, 1
    is out of reach). Both sums run over the batch and are divided by N^2 here; the diagonal is included, where
    Y is constant.
    """

    info = MethodInfo(
        name="qsmih",
        title="QSMIH",
        paper="Deep Supervised Hashing using Quadratic Spherical Mutual Information for Efficient "
        "Image Retrieval",
        year=2021,
        venue="SPIC",
        version=2,
        labels=("single", "multi"),
        supervision="pairwise",
        look=("purple", ">", "dashdotdotted"),
    )
    Params = QSMIHParams
    params: QSMIHParams
    #: 1e-3 is the release's rate for a two-layer network trained from nothing; a pre-trained backbone gets 1e-5.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-3, backbone_factor=0.01)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Negative mutual information between codes and labels, and the quantisation term."""
        closeness = (cosine(outputs, outputs) + 1) / 2
        similar = similarity(batch.labels)
        share = similar.mean()
        if self.params.square_clamp:
            information = (similar * closeness - 1).square() + share * closeness.square()
        else:
            information = share * closeness - similar * closeness
        polar = (outputs.abs() - 1).abs().sum() / len(outputs) ** 2
        return {"information": information.mean(), "quantisation": self.params.alpha * polar}
