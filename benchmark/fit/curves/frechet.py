"""The Fréchet distance between two sets of features, each summed up as a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and covariance (d, d) of a set of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray


def gaussian_of(features: np.ndarray) -> Gaussian:
    """The Gaussian of features (n, d), with the unbiased covariance (divided by n - 1).

    Raises ValueError for fewer than two rows or values that are not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"a Gaussian needs at least two feature vectors, got shape {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features that are not finite have no Gaussian")
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    return Gaussian(mean, centred.T @ centred / (len(features) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), at least 0 (Dowson and Landau 1982; the formula of FID,
    Heusel et al. 2017).

    The trace of (A B)^(1/2) is taken as that of (A^(1/2) B A^(1/2))^(1/2), which is symmetric: its eigenvalues are
    real, and rounding below 0 is cut off, so that covariances without full rank (fewer images than
    dimensions) need no fudge on the diagonal.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = root @ b.covariance @ root
    cross = np.sqrt(np.clip(np.linalg.eigvalsh((inner + inner.T) / 2), 0, None)).sum()
    shift = a.mean - b.mean
    distance = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(0.0, float(distance))
