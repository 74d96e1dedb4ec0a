"""SDH: supervised discrete hashing (Shen, Shen, Liu, Shen; CVPR 2015)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._discrete import classifier_step, coordinate_step, random_codes
from benchmark.methods._kernels import KernelMethod, KernelParams, ridge


class SDHParams(KernelParams):
    """lambda_: weight of |W|^2; nu: weight of the fit to the hash functions; `iterations` outer rounds, each
    with up to `sweeps` sweeps over the bits.
    """

    anchors: int = Field(default=1000, ge=1)
    lambda_: float = Field(default=1.0, gt=0)
    nu: float = Field(default=1e-5, gt=0)
    iterations: int = Field(default=5, ge=1)
    sweeps: int = Field(default=10, ge=1)


class SDH(KernelMethod):
    """min |Y - W^T B|^2 + lambda |W|^2 + nu |B - P^T phi(X)|^2 over B in {-1, 1}, W and P (eq. 4).

    Three closed-form steps in turn: W by ridge regression, P by least squares, B bit by bit (discrete cyclic
    coordinate descent). None can raise the objective; `objective` keeps its values. Out-of-sample codes are
    sign(P^T phi(x)). (Not "Supervised Deep Hashing", which shares the abbreviation.)
    """

    info = MethodInfo(
        name="sdh",
        title="SDH",
        paper="Supervised Discrete Hashing",
        year=2015,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        trained_by="closed-form",
        look=("vermillion", "^", "densely dashdotted"),
    )
    Params = SDHParams
    params: SDHParams
    objective: list[float]

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Alternate the three steps; B starts at random signs."""
        p = self.params
        phi, tensors = self.map_features(features, centred=True)
        labels = data.labels.to(phi)
        codes = random_codes(len(phi), data.task.bits, self.ctx.generator("codes")).to(phi)
        self.objective = []
        for _ in range(p.iterations):
            w = classifier_step(codes, labels, p.lambda_)
            projection = ridge(phi, codes, 0.0)
            fitted = phi @ projection
            codes = coordinate_step(codes, w, labels @ w.T + p.nu * fitted, p.sweeps)
            misfit = (labels - codes @ w).square().sum() + p.lambda_ * w.square().sum()
            self.objective.append(float(misfit + p.nu * (codes - fitted).square().sum()))
        return tensors | {"projection": ridge(phi, codes, 0.0).float()}
