"""ITQ: iterative quantisation (Gong, Lazebnik; CVPR 2011, TPAMI 2013 with Gordo and Perronnin)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo, Task
from benchmark.methods._features import ShallowMethod, ShallowParams, too_many_bits
from benchmark.methods._rotation import rotate
from benchmark.methods._spectra import principal_directions


class ITQParams(ShallowParams):
    """`iterations` of the alternation; the paper uses 50."""

    iterations: int = Field(default=50, ge=1)


class ITQ(ShallowMethod):
    """PCA to K dimensions, then the rotation R that brings V R closest to its signs (eq. 2).

    min |B - V R|_F over B in {-1, 1} and orthogonal R, alternating B = sign(V R) and the Procrustes
    solution: with B^T V = P S Q^T, R = Q P^T. The error cannot rise in exact arithmetic; `errors` keeps it.
    """

    info = MethodInfo(
        name="itq",
        title="ITQ",
        paper="Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
        year=2011,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="unsupervised",
        trained_by="closed-form",
        look=("green", "D", "dashdot"),
    )
    Params = ITQParams
    params: ITQParams
    errors: list[float]

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """PCA gives no more directions than the features have dimensions."""
        return too_many_bits("ITQ", task)

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """PCA by eigenvectors of the covariance, then the alternation from a random rotation."""
        bits = data.task.bits
        principal = principal_directions(features, bits)[0]
        rotation, self.errors = rotate(
            features.double() @ principal, bits, self.params.iterations, self.ctx.generator("rotation")
        )
        return {"projection": (principal @ rotation).float()}
