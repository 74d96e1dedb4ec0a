"""What a fit runs with and tells the display, but is not identified by."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.spec import CurveMetric


@dataclass(frozen=True)
class Progress:
    """What a running fit tells the display: `step` of `steps` updates (0 of a closed form), a loss, images
    per second.
    """

    phase: str
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    images_per_second: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class Runtime:
    """What a job runs with but is not identified by: device, files, how often to look and at what.

    curve_steps: numbers of updates to look after, in place of `curve_points` evenly spaced ones; the last
    update is always looked after. curve_samples: generated images per Fréchet distance. inception_weights:
    a file, with which the distance is FID. deterministic: on a GPU, only algorithms that repeat bit for bit.
    compile: have torch compile the networks for training.
    """

    device: str = "cpu"
    weights_file: str = ""
    curve_points: int = 5
    curve_steps: tuple[int, ...] = ()
    curve_metrics: tuple[CurveMetric, ...] = ("map", "accuracy")
    curve_samples: int = 1000
    inception_weights: str = ""
    checkpoint_seconds: float = 60.0
    deterministic: bool = False
    compile: bool = False
    command: str = ""
    sweep: str = ""
