"""Seconds of a fit on one GPU, for forecasts where no record of the same kind is at hand.

Measured on one NVIDIA H100 80GB HBM3 with nothing beside it (docs/gpu.md): milliseconds per update of 64 images.
"""

from __future__ import annotations

from benchmark import registry
from benchmark.contracts import DatasetInfo
from benchmark.spec import FitSpec

#: What was measured, for captions.
GPU = "an NVIDIA H100"
#: Milliseconds of an update by method and backbone: `compact` and `residual` at 32 px, `alexnet` (and all others)
#: at 224 px. HashGAN's are of its two stages in their default shares (with `residual` those with `compact`);
#: CoopHash's with AlexNet are without the noise that was then drawn on the CPU. A method that is not here counts as
#: HashNet does, one that trains a generator as CoopHash.
_MILLISECONDS = {
    "hashnet": {"compact": 6.3, "residual": 12.3, "alexnet": 10.1},
    "csq": {"compact": 6.3, "residual": 10.7, "alexnet": 10.1},
    "coophash": {"compact": 32.8, "residual": 39.1, "alexnet": 37.0},
    "hashgan": {"compact": 34.0, "residual": 34.0, "alexnet": 278.5},
}
#: Images encoded a second: the slowest of the stored fits on CIFAR-10, and a guess for 224 px.
_ENCODED, _ENCODED_LARGE = 17_000.0, 3_000.0
#: Seconds to open the data, score, and look at the model along the way.
_REST = 5.0


def seconds_on_gpu(spec: FitSpec, images: int, training: int, info: DatasetInfo) -> float:
    """Of a fit alone on the GPU, less what a closed-form method solves. training: how many images train."""
    small = spec.backbone in ("compact", "residual") or info.inputs == "vectors" or spec.frozen
    kind = "residual" if spec.backbone == "residual" else "compact" if small else "alexnet"
    generative = registry.find("methods", spec.method).info["supervision"] == "generative"
    times = _MILLISECONDS.get(spec.method, _MILLISECONDS["coophash" if generative else "hashnet"])
    updates = (spec.epochs or 0) * max(1, training // (spec.batch_size or 64))
    return _REST + updates * times[kind] / 1e3 + images / (_ENCODED if small else _ENCODED_LARGE)
