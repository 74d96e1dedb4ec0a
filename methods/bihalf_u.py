"""BiHalf: deep unsupervised image hashing by maximizing bit entropy (Li, van Gemert; AAAI 2021)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._quantisers import half_half_layer
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe
from benchmark.methods._unsupervised import ReferenceMethod, ReferenceParams


class BiHalfUParams(ReferenceParams):
    """gamma: strength of the pull of outputs towards their codes in the backward pass."""

    gamma: float = Field(default=6.0, ge=0)


class BiHalfU(ReferenceMethod):
    """MSE between cosine similarities of half-half codes and of frozen features (eq. 6 to 9).

    The layer sets each bit to +1 for half of the batch; backward, g + gamma (U - B) / (N K). Pairs are (first
    half, second half) of the batch. At test the code is the plain sign.
    """

    info = MethodInfo(
        name="bihalf-u",
        title="BiHalf (unsupervised)",
        paper="Deep Unsupervised Image Hashing by Maximizing Bit Entropy",
        year=2021,
        venue="AAAI",
        version=3,
        labels=("single", "multi"),
        supervision="unsupervised",
        look=("blue", "p", "dotted"),
    )
    Params = BiHalfUParams
    params: BiHalfUParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="sgd",
        lr=1e-4,
        weight_decay=5e-4,
        backbone_factor=0.0,
        schedule="steps",
        drops=2.5,
        decay=0.1,
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the frozen reference."""
        return {"hash": HashNetwork(task), "reference": self.reference_module(task)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Copied similarities of the batch's half-half codes."""
        codes = half_half_layer(outputs, self.params.gamma)
        return {"similarity": self.similarity_error(codes, batch.images)}
