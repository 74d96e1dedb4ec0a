"""A finished fit as an encoder: its stored weights, without the data set that it learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark import metrics, registry
from benchmark.contracts import DatasetInfo, HashMethod, ImageDataset
from benchmark.data.decode import Target
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.fit.context import RunningContext
from benchmark.fit.devices import numerics
from benchmark.fit.evaluator import ENCODE_BATCH, checked, plain_outputs
from benchmark.fit.frozen import FeatureNetwork
from benchmark.fit.randomness import isolated_generators, root_seed
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import make_context, make_method, precision_of
from benchmark.fit.view_job import load_state
from benchmark.registry.contained import contained
from benchmark.spec.weights import task_file
from benchmark.store.record import Record
from benchmark.store.store import existing, find
from benchmark.store.weights_used import weights_used


@dataclass(frozen=True)
class Encoder:
    """A finished fit that encodes.

    info: the facts of the data set that it learnt from. target: what image files are brought to, as in training;
    None for a fit on vectors. given: images in the form that the method takes, which a frozen backbone changes.
    """

    record: Record
    info: DatasetInfo
    method: HashMethod
    device: torch.device
    width: int
    target: Target | None
    precision: str
    given: Callable[[Tensor], Tensor]

    def outputs(self, items: np.ndarray, *, features: bool = False) -> np.ndarray:
        """float32 outputs (n, bits) of uint8 images (n, channels, height, width), or of vectors (n, channels).

        features: the items are vectors in the form that the method takes. Raises InputError for items of another
        shape, ValueError or FloatingPointError for what a method should not return.
        """
        vectors = features or self.info.inputs == "vectors"
        shape = (self.width,) if vectors else (self.info.channels, self.info.height, self.info.width)
        if items.shape[1:] != shape:
            raise InputError(f"{self.record.fit_id} takes items of shape {shape}, not {items.shape[1:]}")
        bits = self.record.spec.bits
        out = np.empty((len(items), bits), dtype=np.float32)
        for start in range(0, len(items), ENCODE_BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(items[start : start + ENCODE_BATCH]))
            with numerics(self.precision, str(self.device)):
                batch = batch.float().to(self.device) if vectors else self.given(batch.to(self.device))
                found = plain_outputs(self.method.encode(batch))
            out[start : start + len(found)] = checked(found, len(batch), bits)
        return out


def pack(outputs: np.ndarray) -> np.ndarray:
    """Outputs (n, bits) as packed codes uint8 (n, ceil(bits / 8)), by the rule of the records."""
    return np.asarray(metrics.pack_codes(outputs, sign_zero=metrics.Rules().sign_zero, threshold=0))


def open_encoder(
    results: Path, fit_id: str, *, data_root: Path | None = None, device: str = "cpu", weights_file: str = ""
) -> Encoder:
    """The encoder of the finished fit whose id begins with `fit_id`.

    weights_file: the backbone's weights, where they are a file that lies elsewhere than when the fit was made.
    Raises InputError, in one line, for a fit that is not there or failed, missing or damaged weights, a data set
    whose facts are not to be had.
    """
    store = existing(results)
    record = find(store, fit_id)
    spec = record.spec
    if record.state != "done":
        kind = record.failure.kind if record.failure else "failed"
        raise InputError(f"{spec.label} ({record.fit_id}) cannot encode: it failed ({kind})")
    dataset = registry.dataset(spec.dataset, data_root)
    info = dataset.info
    runtime = Runtime(
        device=device, weights_file=task_file(weights_used(store, record, weights_file) or "none")
    )
    root = root_seed(info, spec.seed)
    network = None
    if spec.frozen:
        nothing = np.empty((0,))
        bare = LoadedDataset(info, nothing, nothing, nothing, spec.fingerprint)
        network = FeatureNetwork(spec, bare, runtime, root)
    given = info.as_vectors(network.width()) if network else info
    method = make_method(spec)
    ctx: RunningContext = make_context(spec, given, 1, runtime, None, root)
    with isolated_generators(device), contained():
        load_state(method, store, spec, ctx)
    target = None
    if info.inputs == "images":
        plain = Target(info.channels, info.height, info.width, "stretch", 1.0)
        target = Target.of(dataset) if isinstance(dataset, ImageDataset) else plain
    convert = network if network else lambda images: images
    precision = precision_of(spec, runtime)
    return Encoder(record, info, method, ctx.device, given.channels, target, precision, convert)
