"""CSQ: central similarity quantisation (Yuan, Wang, Zhang, Tay, Jie, Liu, Feng; CVPR 2020)."""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.errors import InputError
from benchmark.methods._centres import (
    balanced_centres,
    bernoulli,
    bernoulli_centres,
    hadamard_centres,
    image_targets,
)
from benchmark.methods._heads import HiddenHashNetwork
from benchmark.methods._quantisers import log_cosh_error, magnitude_error
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, StepwiseParams


class CSQParams(StepwiseParams):
    """lambda_: weight of the quantisation term, as released for AlexNet (0.05 for ResNet-50).

    `centres`: `auto` takes Hadamard rows for a power of two of bits and Bernoulli centres for any other number,
    as the paper does; `hadamard-first` the release's first rows (its column 0 is constant), `hadamard` random
    rows with random signs; `balanced` rows have exactly floor(K/2) entries -1. `quantisation`: the release's
    mean (|h| - 1)^2, or log cosh(|h| - 1) as the paper is commonly described. `separation`: the fewest bits
    between two centres; None means K/4, or the most below that at which so many classes can be drawn. `head`: the
    hash layer; `release` has two hidden layers, `auto` takes it with the paper's optimiser.
    """

    lambda_: float = Field(default=1e-3, ge=0)
    centres: Literal["auto", "hadamard", "hadamard-first", "bernoulli", "balanced"] = "auto"
    quantisation: Literal["square", "log-cosh"] = "square"
    separation: int | None = Field(default=None, ge=1)
    head: Literal["auto", "linear", "release"] = "auto"


class CSQ(StepwiseMethod):
    """Binary cross-entropy between (tanh(u) + 1) / 2 and (c(y) + 1) / 2, plus the quantisation term (eq. 4 to 6).

    c(y) is the hash centre of the image's class; with several classes, the sign of the sum of their centres,
    zeros replaced by one random vector per run. No two classes share a centre: where that cannot be, the fit is
    refused before it trains.
    """

    info = MethodInfo(
        name="csq",
        title="CSQ",
        paper="Central Similarity Quantization for Efficient Image and Video Retrieval",
        year=2020,
        venue="CVPR",
        version=2,
        labels=("single", "multi"),
        supervision="pointwise",
        look=("sky blue", "v", "densely dashed"),
    )
    Params = CSQParams
    params: CSQParams
    paper_recipe: ClassVar[Recipe] = Recipe(
        optimizer="adam", lr=1e-4, backbone_factor=0.01, schedule="steps", drops=9.0, decay=0.7
    )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network: as the run's head says, linear, or with the release's layers (dropout on a ResNet)."""
        chosen = self.params.head
        if task.head or chosen == "linear" or (chosen == "auto" and not self.follows_paper):
            return super().build(task)
        return {"hash": HiddenHashNetwork(task, dropout=0.5 if task.backbone.startswith("resnet") else 0.0)}

    def begin(self, data: HashData) -> None:
        """Draw the centres once per run. Raises InputError where they cannot be told apart."""
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
        """The first kind of centres, and the farthest apart, at which so many can be drawn."""
        chosen, least = self.params.centres, self.params.separation
        kinds = ["hadamard", "bernoulli"] if chosen == "auto" and bits & (bits - 1) == 0 else [chosen]
        failure: InputError | None = None
        for kind, distance in itertools.product(kinds, [least] if least else range(max(1, bits // 4), 0, -1)):
            try:
                if kind in ("auto", "bernoulli"):
                    return bernoulli_centres(classes, bits, generator, distance)
                if kind == "balanced":
                    return balanced_centres(classes, bits, generator, distance=distance)
                return hadamard_centres(
                    classes, bits, generator, shuffled=kind == "hadamard", distance=distance
                )
            except InputError as error:
                failure = error
        assert failure is not None
        raise failure


def central_similarity(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy of (tanh(u) + 1) / 2 = sigma(2u) against (c + 1) / 2, stable for any u."""
    return binary_cross_entropy_with_logits(2 * outputs, (targets.to(outputs) + 1) / 2)
