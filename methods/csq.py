"""CSQ: central similarity quantisation (Yuan, Wang, Zhang, Tay, Jie, Liu, Feng; CVPR 2020)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._centres import (
    balanced_centres,
    bernoulli,
    bernoulli_centres,
    hadamard_centres,
    image_targets,
)
from benchmark.methods._quantisers import log_cosh_error, magnitude_error
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class CSQParams(StepwiseParams):
    """lambda_: weight of the quantisation term.

    `centres`: `auto` takes Hadamard rows for a power of two of bits and Bernoulli centres for any other number,
    as the paper does; `hadamard-first` the release's first rows (its column 0 is constant), `hadamard` random
    rows with random signs; `balanced` rows have exactly floor(K/2) entries -1. `quantisation`: the release's
    mean (|h| - 1)^2, or log cosh(|h| - 1) as the paper is commonly described.
    """

    lambda_: float = Field(default=1e-4, ge=0)
    centres: Literal["auto", "hadamard", "hadamard-first", "bernoulli", "balanced"] = "auto"
    quantisation: Literal["square", "log-cosh"] = "square"


class CSQ(StepwiseMethod):
    """Binary cross-entropy between (tanh(u) + 1) / 2 and (c(y) + 1) / 2, plus the quantisation term (eq. 4 to 6).

    c(y) is the hash centre of the image's class; with several classes, the sign of the sum of their centres,
    zeros replaced by one random vector per run.
    """

    info = MethodInfo(
        name="csq",
        title="CSQ",
        paper="Central Similarity Quantization for Efficient Image and Video Retrieval",
        year=2020,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
    )
    Params = CSQParams
    params: CSQParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="adam", lr=1e-4, backbone_factor=0.1, schedule="steps", drops=9.0, decay=0.7
    )

    def begin(self, data: HashData) -> None:
        """Draw the centres once per run."""
        generator = self.ctx.generator("centres")
        classes, bits = data.task.classes, data.task.bits
        centres = self._centres(classes, bits, generator)
        self.buffers["centres"] = centres.to(self.ctx.device)
        self.buffers["ties"] = bernoulli(1, bits, generator)[0].to(self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Central similarity and quantisation."""
        targets = image_targets(batch.labels, self.buffers["centres"], self.buffers["ties"])
        return {
            "central": central_similarity(outputs, targets),
            "quantisation": self.params.lambda_ * self._quantisation(torch.tanh(outputs)),
        }

    def _quantisation(self, codes: Tensor) -> Tensor:
        return magnitude_error(codes, 2.0) if self.params.quantisation == "square" else log_cosh_error(codes)

    def _centres(self, classes: int, bits: int, generator: torch.Generator) -> Tensor:
        kind = self.params.centres
        if kind == "auto":
            kind = "hadamard" if bits & (bits - 1) == 0 else "bernoulli"
        if kind == "bernoulli":
            return bernoulli_centres(classes, bits, generator)
        if kind == "balanced":
            return balanced_centres(classes, bits, generator)
        return hadamard_centres(classes, bits, generator, shuffled=kind == "hadamard")


def central_similarity(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy of (tanh(u) + 1) / 2 = sigma(2u) against (c + 1) / 2, stable for any u."""
    return binary_cross_entropy_with_logits(2 * outputs, (targets.to(outputs) + 1) / 2)
