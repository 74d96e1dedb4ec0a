"""PCAH: the signs of the leading principal components (the baseline of Gong and Lazebnik; CVPR 2011)."""

from __future__ import annotations

from torch import Tensor

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._features import ShallowMethod, too_many_bits
from benchmark.methods._spectra import principal_directions


class PCAH(ShallowMethod):
    """b = sign(V^T (x - mean)) with V the K leading eigenvectors of the covariance, without rotation."""

    info = MethodInfo(
        name="pcah",
        title="PCAH",
        paper="Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
        year=2011,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        trained_by="closed-form",
        look=("black", ">", "densely dashed"),
    )

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """PCA gives no more directions than the features have dimensions."""
        return too_many_bits("PCAH", task)

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """PCA by eigenvectors of the covariance."""
        return {"projection": principal_directions(features, data.task.bits)[0].float()}
