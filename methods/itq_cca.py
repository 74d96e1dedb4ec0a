"""ITQ-CCA: the supervised variant of ITQ (Gong, Lazebnik, Gordo, Perronnin; TPAMI 2013)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from benchmark.contracts import HashData, MethodInfo
from benchmark.methods._features import ShallowMethod, ShallowParams
from benchmark.methods._rotation import rotate
from benchmark.methods._spectra import span


class ITQCCAParams(ShallowParams):
    """`iterations` of the rotation; `regularisation` is added to both covariances (features are scaled to
    unit mean variance first, so that it means the same for every extractor).
    """

    iterations: int = Field(default=50, ge=1)
    regularisation: float = Field(default=1e-2, gt=0)


class ITQCCA(ShallowMethod):
    """Regularised CCA between features and label vectors, directions scaled by their correlation, then ITQ.

    Labels of C classes give at most C useful directions. With more bits than directions the rotation maps the
    directions to an over-complete set of bits; that equals the published scaling, where the remaining
    directions have correlation zero and thus scale zero.
    """

    info = MethodInfo(
        name="itq-cca",
        title="ITQ-CCA",
        paper="Iterative Quantization: A Procrustean Approach to Learning Binary Codes for Large-Scale Image "
        "Retrieval",
        year=2013,
        venue="TPAMI",
        version=1,
        labels=("single", "multi"),
        supervision="pointwise",
        trained_by="closed-form",
        look=("green", "P", "solid"),
    )
    Params = ITQCCAParams
    params: ITQCCAParams
    errors: list[float]

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """CCA by a singular value decomposition of the whitened cross-covariance, then the rotation."""
        directions, correlations = canonical_directions(
            features.double(), data.labels.double(), self.params.regularisation
        )
        kept = min(data.task.bits, int((correlations > 1e-6).sum()) or 1)
        basis = directions[:, :kept] * correlations[:kept]
        rotation, self.errors = rotate(
            features.double() @ basis, data.task.bits, self.params.iterations, self.ctx.generator("rotation")
        )
        return {"projection": (basis @ rotation).float()}


def canonical_directions(features: Tensor, labels: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Directions W (d, min(d, C)) in feature space and their canonical correlations, in falling order.

    W maximises corr(X W, Y Z) with `weight` times the mean variance added to each covariance's diagonal.
    """
    x = features - features.mean(dim=0)
    y = labels - labels.mean(dim=0)
    n, size = x.shape
    if n < size:  # the same in the images' span, where the mean variance is as many times larger
        basis, _ = span(x)
        inside, correlations = _canonical(x @ basis, y, weight * basis.shape[1] / size, weight)
        return basis @ inside, correlations
    return _canonical(x, y, weight, weight)


def _canonical(x: Tensor, y: Tensor, weight: float, weight_y: float) -> tuple[Tensor, Tensor]:
    n = len(x)
    whiten_x = _inverse_root(x.T @ x / n, weight)
    whiten_y = _inverse_root(y.T @ y / n, weight_y)
    left, correlations, _ = torch.linalg.svd(whiten_x @ (x.T @ y / n) @ whiten_y, full_matrices=False)
    return whiten_x @ left, correlations


def _inverse_root(covariance: Tensor, weight: float) -> Tensor:
    scale = covariance.diagonal().mean().clamp(min=1e-12)
    ridge = weight * scale * torch.eye(len(covariance)).to(covariance)
    values, vectors = torch.linalg.eigh(covariance + ridge)
    return vectors @ torch.diag(values.clamp(min=1e-12).rsqrt()) @ vectors.T
