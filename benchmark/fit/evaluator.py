"""From a trained method to codes and scores: the harness grades, the method only returns outputs."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark import metrics
from benchmark.contracts import HashData, HashMethod, Task
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Split
from benchmark.fit.devices import has_room
from benchmark.metrics.labels import class_indices
from benchmark.store.record import Score

#: Items per call of `encode`: vectors, or anything on a GPU.
ENCODE_BATCH = 500
#: Images per call on a CPU: so few that the maps of a layer stay in its cache (twice as fast, outputs the same).
CPU_BATCH = 32
#: A data set up to this size is kept on the device whole (CIFAR-10 is 0.2 GB).
DEVICE_BYTES = 4 * 2**30
#: Database images that a learning curve's points are scored against (evenly spaced rows of the database).
CURVE_DATABASE = 2_000


@dataclass(frozen=True)
class Evaluator:
    """Encodes and scores parts of one split of one data set."""

    data: LoadedDataset
    split: Split
    rules: metrics.Rules
    bits: int
    device: torch.device
    neighbours: metrics.Neighbours | None = None

    @functools.cached_property
    def _pool(self) -> Tensor | None:
        """All images as one tensor: on the device when it fits there, else in host memory.

        None for a memory-mapped set that stays on disk: its rows are read as they are asked for.
        """
        images = self.data.images
        fits = images.nbytes <= DEVICE_BYTES
        if isinstance(images, np.memmap):
            return (
                torch.from_numpy(np.array(images)).to(self.device)
                if fits and self.device.type != "cpu"
                else None
            )
        everything = torch.from_numpy(images)
        return everything.to(self.device) if fits else everything

    @property
    def encode_batch(self) -> int:
        """Items per call of a method's `encode`."""
        return CPU_BATCH if self.device.type == "cpu" and self.data.images.ndim == 4 else ENCODE_BATCH

    def images(self, rows: np.ndarray) -> Tensor:
        """uint8 (n, channels, height, width), or vectors float32 (n, channels), on the device, a copy."""
        pool = self._pool
        if pool is None:
            found = torch.from_numpy(np.asarray(self.data.images[rows])).to(self.device)
        else:
            found = pool[torch.from_numpy(rows).to(pool.device)].to(self.device)
        return _as_given(found)

    def _host_images(self, rows: np.ndarray) -> Tensor:
        return _as_given(torch.from_numpy(np.array(self.data.images[rows])))

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Class indices (n,), int16 where it holds every class, or multi-hot uint8 (n, classes)."""
        return self._as_scored(np.asarray(self.data.labels[rows]))

    def _as_scored(self, labels: np.ndarray) -> np.ndarray:
        return labels if self.data.info.multi_label else class_indices(labels)

    def training_labels(self, rows: np.ndarray) -> np.ndarray:
        """The labels that training is told for training rows, uint8 (n, classes): with the fit's label noise."""
        return self.split.training_labels(self.data.labels, rows)

    def training_data(self, task: Task, *, host: bool = False) -> HashData:
        """What a method is handed: hidden labels, queries and the database are not in it.

        host: images that do not fit the device stay in host memory.
        """
        rows, hidden = self.split.labelled, self.split.hidden
        size = (len(rows) + len(hidden)) * self.data.images[:1].nbytes
        images = self._host_images if host and not has_room(size, self.device) else self.images
        return HashData(
            task=task,
            images=images(rows),
            labels=torch.from_numpy(self.training_labels(rows)).to(self.device),
            unlabelled=images(hidden),
            crop_padding=self.data.info.crop_padding,
            flip=self.data.info.flip,
        )

    def encode(self, method: HashMethod, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """float32 outputs (n, bits) of the rows' images, and the seconds spent inside `encode`.

        Raises ValueError for outputs of another shape, FloatingPointError for NaN or infinity.
        """
        out = np.empty((len(rows), self.bits), dtype=np.float32)
        spent = 0.0
        for start in range(0, len(rows), self.encode_batch):
            images = self.images(rows[start : start + self.encode_batch])
            begun = time.monotonic()
            outputs = plain_outputs(method.encode(images))
            spent += time.monotonic() - begun
            out[start : start + len(outputs)] = checked(outputs, len(images), self.bits)
        return out, spent

    def codes(self, method: HashMethod) -> tuple[dict[str, np.ndarray], float]:
        """What `codes.npz` holds: packed codes, labels and row numbers; and the seconds of encoding."""
        query, query_seconds = self.encode(method, self.split.query)
        database, database_seconds = self.encode(method, self.split.database)
        codes = {
            "query_codes": metrics.pack_codes(query, sign_zero=self.rules.sign_zero, threshold=0),
            "database_codes": metrics.pack_codes(database, sign_zero=self.rules.sign_zero, threshold=0),
            "bits": np.array(self.bits),
            "query_labels": self.labels(self.split.query),
            "database_labels": self.labels(self.split.database),
            "query_ids": self.split.query,
            "database_ids": self.split.database,
        }
        if self.neighbours is not None:
            codes |= {"neighbour_offsets": self.neighbours.offsets, "neighbour_rows": self.neighbours.rows}
        return codes, query_seconds + database_seconds

    def held_out_map(self, method: HashMethod) -> float:
        """mAP of the model on the tuning split alone: each image against the others, none of them trained on."""
        rows = self.split.tuning
        outputs, labels = self.encode(method, rows)[0], self._as_scored(self.training_labels(rows))
        return self._map((outputs, outputs), (labels, labels), (rows, rows))

    def curve_map(self, method: HashMethod, selection: str) -> float:
        """mAP of the model as it is now: on the tuning split (`val`), on the full test protocol (`peek`), or
        for the learning curve alone (`last`), on the queries against a thinned database. The tuning split's labels
        are training labels: label noise is in them, as a practitioner would have it.
        """
        if self.neighbours is not None:  # they are of the whole database
            codes, _ = self.codes(method)
            (found,) = (one.value for one in score(codes, self.bits, self.rules) if one.metric == "map")
            return found
        if selection == "val":
            query, database = self.split.tuning, self.split.labelled
            told = [self._as_scored(self.training_labels(rows)) for rows in (query, database)]
        else:
            full = len(self.split.database)
            stride = 1 if selection == "peek" else max(1, math.ceil(full / CURVE_DATABASE))
            query, database = self.split.query, self.split.database[::stride]
            told = [self.labels(query), self.labels(database)]
        outputs = self.encode(method, query)[0], self.encode(method, database)[0]
        return self._map(outputs, told, (query, database) if self.rules.exclude_self else (None, None))

    def _map(self, outputs: Sequence[np.ndarray], labels: Sequence[np.ndarray], ids: Sequence[Any]) -> float:
        """mAP under the protocol's rules; ids: of both sides, where a query's own entry is left out."""
        return metrics.mean_average_precision(
            *outputs,
            *labels,
            k=self.rules.k,
            ties=self.rules.ties,
            normaliser=self.rules.normaliser,
            no_hit=self.rules.no_hit,
            threshold=0,  # a method's sign is its code
            device=str(self.device),
            query_ids=ids[0],
            database_ids=ids[1],
        )


def _as_given(items: Tensor) -> Tensor:
    """Vectors in single precision; images as they are."""
    return items.float() if items.is_floating_point() else items


def plain_outputs(outputs: object) -> np.ndarray:
    """What `encode` returned as float32 on the CPU. Raises TypeError for anything but a tensor of real numbers."""
    if not isinstance(outputs, Tensor):
        raise TypeError(f"encode returned a {type(outputs).__name__}, not a tensor")
    if outputs.is_complex():
        raise TypeError(f"encode returned {outputs.dtype}, not real numbers")
    found: np.ndarray = outputs.detach().to("cpu", torch.float32).numpy()
    return found


def checked(outputs: np.ndarray, items: int, bits: int) -> np.ndarray:
    """Outputs of so many items. Raises ValueError for another shape, FloatingPointError for NaN or infinity."""
    if outputs.shape != (items, bits):
        raise ValueError(f"encode returned {outputs.shape}, not {(items, bits)}")
    if not np.isfinite(outputs).all():
        raise FloatingPointError("encode returned values that are not finite")
    return outputs


def score(
    codes: dict[str, np.ndarray],
    bits: int,
    rules: metrics.Rules,
    view: str = "clean",
    device: str | None = None,
) -> tuple[Score, ...]:
    """Every metric of one set of codes. A metric without a value (all queries skipped) is left out.

    device: the fit's, which alone may be used to count.
    """
    return scores_of(metrics.evaluate_stored(codes, bits, rules, device=device), view)


def scores_of(result: metrics.Evaluation, view: str) -> tuple[Score, ...]:
    """The values of an evaluation as a record has them; those that are not finite are left out."""
    scores = []
    for key, value in result.values.items():  # `precision@100` carries its own cut-off
        name, _, cutoff = key.partition("@")
        k = int(cutoff) if cutoff else (result.rules.k if name == "map" else None)
        if math.isfinite(value):
            scores.append(Score(view=view, metric=name, k=k, value=float(value)))
    return tuple(scores)


def health_flags(
    health: dict[str, float], bits: int, classes: int, codes: np.ndarray | None = None
) -> tuple[str, ...]:
    """Plain words for codes that have collapsed; empty when they are fine. codes: packed, (n, bytes)."""
    flags = []
    distinct, constant = int(health["distinct_codes"]), int(health["constant_bits"])
    if distinct <= 1 and codes is not None and metrics.unpack_codes(codes[:1], bits).all():
        # Where every bit of every image is 1, the method may well tell images apart above 0.
        flags.append(
            "collapsed: every image has the same code, as no output is below 0 and the sign is the code; outputs "
            "of a sigmoid or a ReLU need their threshold subtracted in `encode`"
        )
    elif distinct <= 1:
        flags.append("collapsed: every image has the same code")
    elif distinct < classes:
        flags.append(f"nearly collapsed: {distinct} distinct codes for {classes} classes")
    if constant > 0 and distinct > 1:
        flags.append(f"{constant} of {bits} bits are constant")
    return tuple(flags)
