"""The two kinds of work that a sweep hands out."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.spec.fit import FitSpec
from benchmark.spec.views import View


@dataclass(frozen=True)
class Job:
    """Work on one fit: a `TrainJob` or a `ViewJob`.

    Attributes
    ----------
    fit : FitSpec
        Which fit.
    """

    fit: FitSpec


@dataclass(frozen=True)
class TrainJob(Job):
    """A fit to train, encode and score."""


@dataclass(frozen=True)
class ViewJob(Job):
    """A finished fit, and the views to evaluate it under from its stored weights.

    Attributes
    ----------
    views : tuple of View
        In the order in which they run.
    """

    views: tuple[View, ...]
