"""What a fit needs before its first update, or before a view of it is scored: one way to open it for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark import metrics, registry
from benchmark.contracts import VECTORS, DatasetInfo, HashMethod
from benchmark.data import protocol
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Protocol, Split
from benchmark.data.view_images import Images
from benchmark.errors import InputError, printable
from benchmark.fit.context import RunningContext
from benchmark.fit.devices import resolve_precision
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.frozen import Features, frozen_features
from benchmark.fit.neighbours import true_neighbours
from benchmark.fit.randomness import root_seed
from benchmark.fit.runtime import Progress, Runtime
from benchmark.spec import FitSpec


@dataclass(frozen=True)
class OpenFit:
    """A fit that can be trained or loaded.

    images: the data set as it is. evaluator: reads what the method is given, which is `images` or, with a frozen
    backbone, its features of them.
    """

    spec: FitSpec
    images: LoadedDataset
    rule: Protocol
    split: Split
    evaluator: Evaluator
    method: HashMethod
    ctx: RunningContext
    features: Features | None = None

    def given(self, images: Images) -> Callable[[int, int], Tensor]:
        """`part(start, stop)` of a view's images on the fit's device, in the form that the method takes."""
        if self.features is not None:
            return self.features.of_view(images)
        return lambda start, stop: images.part(start, stop).to(self.evaluator.device)

    def facts(self) -> dict[str, str | int | float]:
        """What the record says of the method and of what it was given, once it is trained."""
        data = {f"data_{key}": value for key, value in self.images.facts.items()}
        found = {**data, **self.method.facts(), **(self.features.facts if self.features else {})}
        return {printable(str(key)): _fact(value) for key, value in found.items()}


def _fact(value: str | int | float) -> str | int | float:
    """As JSON has it: what is not finite, or no UTF-8, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return printable(value) if isinstance(value, str) else value


def open_fit(
    spec: FitSpec,
    data: LoadedDataset,
    runtime: Runtime,
    workdir: Path | None = None,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> OpenFit:
    """Draw a fit's split, find its features where its backbone is frozen, make its method and context.

    Raises InputError when the split cannot be drawn or features cannot be computed, Interrupted after `stop`
    turned true while they were.
    """
    rule, method = protocol.resolve(spec.protocol, data.info), make_method(spec)
    split = protocol.draw(
        rule,
        data.info,
        data.labels,
        spec.seed,
        spec.label_rule,
        parts=data.parts,
        class_split=spec.class_split,
        tuning=spec.selection == "val",
    )
    root = root_seed(data.info, spec.seed)
    features = frozen_features(data, spec, runtime, root, progress, stop) if spec.frozen else None
    given = features.data if features else data
    rules = metrics.Rules(k=rule.k, exclude_self=rule.exclude_self)
    near = None
    if rule.neighbours is not None:
        rules = replace(rules, relevance="neighbours")
        identity = features.network.key() if features else data.fingerprint
        near = true_neighbours(given.images, split, rule, identity)
    stops_after = method.stops_after(method.params)
    if stops_after:
        check_stopping(spec, split.training_labels(data.labels, split.tuning))
    evaluator = Evaluator(given, split, rules, spec.bits, torch.device(runtime.device), near)
    ctx = make_context(spec, given.info, split.training_images, runtime, workdir, root)
    ctx.stops_after = stops_after
    return OpenFit(spec, data, rule, split, evaluator, method, ctx, features)


def check_stopping(spec: FitSpec, held_out: np.ndarray) -> None:
    """Raise InputError where early stopping has nothing to look at. held_out: uint8 labels (n, classes)."""
    what = f"{spec.method} stops early by held-out training images"
    if spec.selection != "val":
        raise InputError(f"{what}: selection must be val, not {spec.selection}")
    if not len(held_out) or held_out.sum(axis=0).max() < 2:
        raise InputError(f"{what}, but of {len(held_out)} no two share a label; show more labels")


def precision_of(spec: FitSpec, runtime: Runtime) -> str:
    """What a fit computes in on the runtime's device. What learns from a frozen backbone's features is small."""
    return resolve_precision(spec.precision, runtime.device, VECTORS if spec.frozen else spec.backbone)


def make_method(spec: FitSpec) -> HashMethod:
    """A fresh instance of a fit's method."""
    cls = registry.method_class(spec.method)
    return cls(cls.Params.model_validate(spec.params))


def make_context(
    spec: FitSpec,
    info: DatasetInfo,
    training_images: int,
    runtime: Runtime,
    workdir: Path | None,
    root_seed: int,
) -> RunningContext:
    """The harness's side of a fit: its task, device, budget and seeds. info: of what the method is given."""
    epochs, batch_size = spec.epochs or 1, spec.batch_size or 64
    weights = runtime.weights_file or spec.weights
    return RunningContext(
        task=info.task(spec.bits, spec.backbone, weights, spec.preprocessing, spec.head),
        device=torch.device(runtime.device),
        epochs=epochs,
        batch_size=batch_size,
        updates=epochs * max(1, training_images // batch_size),
        precision="bf16" if precision_of(spec, runtime) == "bf16" else "fp32",
        root_seed=root_seed,
        workdir=workdir,
        spec=spec,
        runtime=runtime,
    )
