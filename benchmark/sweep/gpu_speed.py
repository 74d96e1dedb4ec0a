"""Measured times of an update, and the seconds of a fit on one GPU: for forecasts that no record can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from benchmark import registry
from benchmark.contracts import DatasetInfo
from benchmark.spec import FitSpec, read_toml

#: What was measured, for captions.
GPU = "an NVIDIA H100"
_TABLES = read_toml(Path(__file__).with_name("measured.toml"))
#: Images encoded a second: the slowest of the stored fits on CIFAR-10, and a guess for 224 px.
_ENCODED, _ENCODED_LARGE = 17_000.0, 3_000.0
#: Seconds to open the data, score, and look at the model along the way.
_REST = 5.0


def measured(table: Literal["core_seconds", "vector_seconds", "gpu_milliseconds"], method: str) -> Any:
    """A method's row in a table of `measured.toml`: its own, or that of methods of its kind."""
    generative = registry.find("methods", method).info["supervision"] == "generative"
    return _TABLES[table].get(method, _TABLES[table]["generative" if generative else "usual"])


def seconds_on_gpu(spec: FitSpec, images: int, training: int, info: DatasetInfo) -> float:
    """Of a fit alone on the GPU, less what a closed-form method solves. training: how many images train."""
    small = spec.backbone in ("compact", "residual") or info.inputs == "vectors" or spec.frozen
    kind = "residual" if spec.backbone == "residual" else "compact" if small else "alexnet"
    updates = (spec.epochs or 0) * max(1, training // (spec.batch_size or 64))
    per_update: float = measured("gpu_milliseconds", spec.method)[kind] / 1e3
    return _REST + updates * per_update + images / (_ENCODED if small else _ENCODED_LARGE)
