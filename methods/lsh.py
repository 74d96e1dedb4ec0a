"""LSH: sign random projections (Gionis, Indyk, Motwani, VLDB 1999; Charikar, STOC 2002)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._features import ShallowMethod


class LSH(ShallowMethod):
    """b = sign((x - mean) W) with W drawn from N(0, 1): the data-independent floor."""

    info = MethodInfo(
        name="lsh",
        title="LSH",
        paper="Similarity Search in High Dimensions via Hashing",
        year=1999,
        venue="VLDB",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        trained_by="closed-form",
        look=("black", "X", "densely dashdotted"),
    )

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Draw the projection; nothing is learnt but the mean."""
        size = (features.shape[1], data.task.bits)
        projection = torch.randn(size, generator=self.ctx.generator("projection"))
        return {"projection": projection.to(features)}
