"""What is to be measured: the values that name a fit, a sweep and its grid, and the seed streams."""

from benchmark.spec.fit import (
    SCHEMA,
    BackboneName,
    CurveMetric,
    FitSpec,
    HiddenImages,
    LabelRule,
    NoiseKind,
    Precision,
    Selection,
)
from benchmark.spec.job import Job, TrainJob, ViewJob
from benchmark.spec.preprocessing import PLAIN, Preprocessing
from benchmark.spec.sweep import GridPoint, Sweep, read_toml
from benchmark.spec.values import (
    NAME_PATTERN,
    M,
    Name,
    Scalar,
    Value,
    canonical_json,
    digest,
    explain,
    parse,
    seed_stream,
)
from benchmark.spec.views import View
from benchmark.spec.weights import BY_ORDER, PUBLISHED, is_published

__all__ = [
    "BY_ORDER",
    "NAME_PATTERN",
    "PLAIN",
    "PUBLISHED",
    "SCHEMA",
    "BackboneName",
    "CurveMetric",
    "FitSpec",
    "GridPoint",
    "HiddenImages",
    "Job",
    "LabelRule",
    "M",
    "Name",
    "NoiseKind",
    "Precision",
    "Preprocessing",
    "Scalar",
    "Selection",
    "Sweep",
    "TrainJob",
    "Value",
    "View",
    "ViewJob",
    "canonical_json",
    "digest",
    "explain",
    "is_published",
    "parse",
    "read_toml",
    "seed_stream",
]
