"""SSDH: semantic structure-based unsupervised deep hashing (Yang, Deng, Liu, Liu, Tao, Gao; IJCAI 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._images import taken, to_float
from benchmark.methods._networks import CHUNK
from benchmark.methods._pairs import cosine, masked_mean, off_diagonal
from benchmark.methods._stepwise import Batch, HashNetwork, Recipe
from benchmark.methods._unsupervised import ReferenceMethod, ReferenceParams

#: Width of the histogram's bins over distances, as in the release.
_BIN = 0.01


class SSDHParams(ReferenceParams):
    """`near` and `far`: how many deviations below and above the mode of all distances a pair is called similar or
    dissimilar. `sampled`: the most training images whose pairs give mode and deviations.
    """

    near: float = Field(default=2.0, ge=0)
    far: float = Field(default=2.0, ge=0)
    sampled: int = Field(default=5000, ge=2)


class SSDH(ReferenceMethod):
    """mean |s_ij| (h_i^T h_j / K - s_ij)^2 over the pairs of the batch, h = tanh(u).

    s is 1 where the cosine distance of frozen features lies below m - near * sigma_l, -1 above m + far * sigma_r,
    and 0, which leaves the pair out, between. m is the mode of the distances between training images; sigma_l and
    sigma_r are the deviations of the halves below and above it, each mirrored at m. An image is
    not paired with itself; in the release it is, and such pairs outweigh the few that s is sure of.
    """

    info = MethodInfo(
        name="ssdh",
        title="SSDH",
        paper="Semantic Structure-based Unsupervised Deep Hashing",
        year=2018,
        venue="IJCAI",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        look=("vermillion", "P", "dashed"),
    )
    Params = SSDHParams
    params: SSDHParams
    #: The release's Adam with epsilon 1 and rate 1e-3 takes the steps of SGD with momentum 0.9 and a tenth of it.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="sgd", lr=1e-4)

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network and the frozen reference."""
        return {"hash": HashNetwork(task), "reference": self.reference_module(task)}

    def begin(self, data: HashData) -> None:
        """The reference's mean, and between which distances a pair says nothing."""
        super().begin(data)
        order = torch.randperm(len(data.images), generator=self.ctx.generator("structure"))
        rows = order[: self.params.sampled].to(data.images.device)
        with torch.no_grad():
            images = (taken(data.images, part, self.ctx.device) for part in rows.split(CHUNK))
            features = torch.cat([self.networks["reference"](to_float(part)) for part in images])
        limits = structure_limits(1 - cosine(features, features), self.params.near, self.params.far)
        self.buffers["limits"] = torch.tensor(limits, device=self.ctx.device)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The regression of the pairs that the structure is sure of."""
        codes = torch.tanh(outputs)
        with torch.no_grad():
            features = self.networks["reference"](batch.images)
            distances = 1 - cosine(features, features)
            near, far = self.buffers["limits"].to(distances)
            wanted = (distances < near).to(codes) - (distances > far).to(codes)
        gaps = codes @ codes.T / codes.shape[1] - wanted
        mask = off_diagonal(len(codes), codes.device)
        return {"structure": masked_mean(wanted.abs() * gaps.square(), mask)}


def structure_limits(distances: Tensor, near: float, far: float) -> tuple[float, float]:
    """Below which distance a pair is similar and above which it is not, from the distances (n, n) of all pairs.

    The mode is the lower edge of the fullest bin. A half without any distance has deviation 0.
    """
    pairs = distances[~torch.eye(len(distances), dtype=torch.bool, device=distances.device)].double()
    if not len(pairs):
        return 0.0, 2.0
    counts = torch.bincount((pairs.clamp(min=0) / _BIN).long())
    mode = float(counts.argmax()) * _BIN
    squares = (pairs - mode).square()
    halves = [pairs <= mode, pairs > mode]
    left, right = (float((squares * half).sum() / half.sum().clamp(min=1)) ** 0.5 for half in halves)
    return mode - near * left, mode + far * right
