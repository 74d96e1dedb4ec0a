"""What a fit needs before its first update: the method and its context."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark import registry
from benchmark.contracts import HashMethod
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Split
from benchmark.fit.context import WatchedContext
from benchmark.fit.devices import resolve_precision
from benchmark.fit.runtime import Runtime
from benchmark.spec import FitSpec, seed_stream


def make_method(spec: FitSpec) -> HashMethod:
    """A fresh instance of a fit's method."""
    cls = registry.method_class(spec.method)
    return cls(cls.Params.model_validate(spec.params))


def make_context(
    spec: FitSpec, data: LoadedDataset, split: Split, runtime: Runtime, workdir: Path | None
) -> WatchedContext:
    """The harness's side of a fit: its task, device, budget and seeds."""
    info = data.info
    epochs, batch_size = spec.epochs or 1, spec.batch_size or 64
    return WatchedContext(
        task=info.task(spec.bits, spec.backbone, runtime.weights_file or spec.weights),
        device=torch.device(runtime.device),
        epochs=epochs,
        batch_size=batch_size,
        updates=epochs * max(1, split.training_images // batch_size),
        precision="bf16" if resolve_precision(spec.precision, runtime.device) == "bf16" else "fp32",
        # Named by data set and seed alone: methods that share a network share its initialisation and batches.
        root_seed=seed_stream("trial", info.split_key or info.name, spec.seed),
        workdir=workdir,
        spec=spec,
        runtime=runtime,
    )
