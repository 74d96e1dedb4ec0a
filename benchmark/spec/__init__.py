"""What is to be measured: the values that name a fit, a sweep and its grid, and the seed streams."""

from benchmark.spec.fit import (
    SCHEMA,
    VIEW_PATTERN,
    BackboneName,
    CurveMetric,
    FitSpec,
    HiddenImages,
    Job,
    LabelRule,
    NoiseKind,
    Precision,
    Selection,
    View,
)
from benchmark.spec.preprocessing import PLAIN, Preprocessing
from benchmark.spec.sweep import Cell, Sweep, read_toml
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
from benchmark.spec.weights import BY_ORDER, PUBLISHED, is_published

__all__ = [
    "BY_ORDER",
    "NAME_PATTERN",
    "PLAIN",
    "PUBLISHED",
    "SCHEMA",
    "VIEW_PATTERN",
    "BackboneName",
    "Cell",
    "CurveMetric",
    "FitSpec",
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
    "Value",
    "View",
    "canonical_json",
    "digest",
    "explain",
    "is_published",
    "parse",
    "read_toml",
    "seed_stream",
]
