"""What a sweep will take before it begins: fits by data set, hours of one core, gigabytes of disk."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.contracts import VECTORS, DatasetInfo
from benchmark.data import protocol
from benchmark.spec import FitSpec
from benchmark.store.index import Index
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.sweep.gpu_speed import measured, seconds_on_gpu
from benchmark.sweep.plan import Plan

#: On one core of an AMD EPYC: seconds of a closed-form fit, and images a second through the compact network.
_CLOSED_SECONDS, _ENCODE_RATE = 5.0, 2000.0
#: On vectors of 1,280 numbers: seconds of a fit without its training, and bytes beside the codes.
_VECTOR_SECONDS, _VECTOR_BYTES = 1.0, 300_000
#: Seconds that the eigenvectors of a matrix take there, by the cube of its side; closed-form methods decompose one
#: whose side is the number of training images or of dimensions, whichever is smaller.
_CUBE_SECONDS = 3e-10
_PIXELS = 28 * 28
#: Bytes beside the codes: the compact network's weights, curve, record, log.
_OTHER_BYTES = 3_000_000
#: torchvision's networks resize to 224 px inside; bytes of their trained weights (without the classifier's last
#: layer), which a fit stores. Closed-form methods leave them as they are and store none.
_PHOTOGRAPH = 224 * 224
_BACKBONE_BYTES = {
    "alexnet": 228_000_000,
    "vgg16": 537_000_000,
    "resnet18": 45_000_000,
    "resnet34": 85_000_000,
    "resnet50": 94_000_000,
}
#: Records of one method and data set that are read for their times.
_SAMPLE = 3


@dataclass(frozen=True)
class Expected:
    """What the fits of one data set will take. `measured` of `to_run` rest on records of the same kind here.

    elsewhere: how many rest on records of the same method on vectors of other data sets. as_images: fits on vectors
    that count as fits of small images, since no GPU has been timed on vectors.
    memory: bytes that the largest closed-form fit to run holds at once, roughly; 0 where none is to run.
    """

    dataset: str
    fits: int
    to_run: int
    seconds: float
    size: float
    measured: int
    memory: float = 0.0
    elsewhere: int = 0
    as_images: int = 0


def forecast(
    plans: Iterable[Plan],
    store: Store,
    images: Mapping[str, int],
    root: Path | None = None,
    *,
    gpu: bool = False,
    known: KnownTimes | None = None,
) -> list[Expected]:
    """One row per data set; a fit that several plans share counts once. `images` is the size of each data set.

    Finished fits that lack views alone are not run again and do not count as such; views are not timed.

    Seconds are of one worker, from this folder's records of the same method, data set, backbone and kind of device
    (training time scaled to the updates), else from what was measured: on one CPU core, or with `gpu` on one GPU.
    known: what another forecast of this folder has read of it.
    """
    fits: dict[str, tuple[FitSpec, bool]] = {}
    for plan in plans:
        for planned in plan.fits:
            if planned.fit is not None:
                known_to_run = fits.get(planned.fit.fit_id, (planned.fit, False))[1]
                run = planned.state == "absent" or (planned.run and not planned.extend)
                fits[planned.fit.fit_id] = (planned.fit, known_to_run or run)
    known = known or KnownTimes(store, root)
    rows: dict[str, list[tuple[bool, float, float, str]]] = {}
    memory: dict[str, float] = {}
    for fit, run in fits.values():
        name, count = fit.dataset, images.get(fit.dataset, 0)
        seconds, size, basis = known.expect(fit, count, gpu) if run else (0.0, 0.0, "")
        held = known.memory(fit, count) if run else 0.0
        memory[name] = max(held, memory.get(name, 0.0))
        rows.setdefault(name, []).append((run, seconds, size, basis))
    return [
        Expected(
            name,
            len(found),
            sum(run for run, *_ in found),
            sum(seconds for _, seconds, _, _ in found),
            sum(size for _, _, size, _ in found),
            sum(basis == "records" for *_, basis in found),
            memory[name],
            sum(basis == "elsewhere" for *_, basis in found),
            sum(basis == "as images" for *_, basis in found),
        )
        for name, found in sorted(rows.items())
    ]


class KnownTimes:
    """Times and sizes of the records of a folder, by method and data set, read when they are asked for."""

    def __init__(self, store: Store, root: Path | None) -> None:
        self._root, self._store = root, store
        self._ids: dict[tuple[str, str], list[str]] = {}
        for row in Index(store).rows() if store.root.is_dir() else []:
            if row.state == "done":
                self._ids.setdefault((row.method, row.dataset), []).append(row.fit_id)
        self._read: dict[tuple[Any, ...], list[Record]] = {}
        self._record = functools.cache(store.by_id)

    def expect(self, spec: FitSpec, images: int, gpu: bool) -> tuple[float, float, str]:
        """(seconds, bytes, what they rest on): `records` of the same method and data set, those of the method on
        vectors `elsewhere`, the `table`, or the GPU's table `as images`.
        """
        alike = self._alike(spec, gpu)
        if not alike:
            info = registry.find("datasets", spec.dataset, self._root).dataset_info
            seconds, size = _assumed(spec, images, info)
            vectors = spec.frozen or info.inputs == "vectors"
            others = self._elsewhere(spec, gpu) if vectors and spec.epochs else []
            if others:
                updates = _updates(spec, _sides(spec, images, info)[0])
                each = [_on_other_vectors(record, updates, images) for record in others]
                return statistics.fmean(each), size, "elsewhere"
            if gpu:
                training, dimensions = _sides(spec, images, info)
                solved = (
                    0.0 if spec.epochs else _CLOSED_SECONDS + _CUBE_SECONDS * min(training, dimensions) ** 3
                )
                seconds = solved + seconds_on_gpu(spec, images, training, info)
            return seconds, size, "as images" if gpu and vectors and spec.epochs else "table"
        seconds = statistics.fmean(_seconds(record, spec) for record in alike)
        size = statistics.fmean(self._store.size(record.spec) for record in alike)
        return seconds, size, "records"

    def _alike(self, spec: FitSpec, gpu: bool) -> list[Record]:
        """A few records of the same method, data set and backbone, made on the kind of device asked about."""
        key = (spec.method, spec.dataset, spec.backbone, spec.frozen, gpu)
        if key not in self._read:
            every = (self._record(one) for one in self._ids.get(key[:2], []))
            fitting = (record for record in every if _fits(record, spec, gpu))
            self._read[key] = list(itertools.islice(fitting, _SAMPLE))
        return self._read[key]

    def _elsewhere(self, spec: FitSpec, gpu: bool) -> list[Record]:
        """A few records of the same method on vectors of other data sets: an update there takes about as long."""
        key = (spec.method, spec.batch_size, gpu)
        if key not in self._read:
            every = (self._record(one) for ids in self._of(spec.method) for one in ids)
            fitting = (
                record
                for record in every
                if (record.spec.frozen or record.spec.backbone == VECTORS)
                and record.updates
                and record.spec.batch_size == spec.batch_size
                and _on_cuda(record) == gpu
            )
            self._read[key] = list(itertools.islice(fitting, _SAMPLE))
        return self._read[key]

    def _of(self, method: str) -> Iterator[list[str]]:
        return (ids for (name, _), ids in self._ids.items() if name == method)

    def memory(self, spec: FitSpec, images: int) -> float:
        """Bytes that a closed-form fit holds at once: its features in two precisions, and the matrices."""
        if spec.epochs is not None:
            return 0.0
        info = registry.find("datasets", spec.dataset, self._root).dataset_info
        training, dimensions = _sides(spec, images, info)
        return 16.0 * training * dimensions + 32.0 * min(training, dimensions) ** 2


def _fits(record: Record, spec: FitSpec, gpu: bool) -> bool:
    same_device = spec.epochs is None or _on_cuda(record) == gpu  # closed-form methods compute on the CPU
    same_network = (record.spec.backbone, record.spec.frozen) == (spec.backbone, spec.frozen)
    return same_network and same_device


def _on_cuda(record: Record) -> bool:
    return record.environment is not None and record.environment.device.startswith("cuda")


def _updates(spec: FitSpec, training: int) -> int:
    """How many a fit of so many training images makes."""
    return (spec.epochs or 0) * max(1, training // (spec.batch_size or 64))


def _on_other_vectors(record: Record, updates: int, images: int) -> float:
    """The record's seconds for another number of updates, and of images to encode and score."""
    facts, times = record.protocol, record.timings
    seen = facts.queries + facts.database if facts is not None else 0
    return times.train / record.updates * updates + (times.total - times.train) * (
        images / seen if seen else 1
    )


def _sides(spec: FitSpec, images: int, info: DatasetInfo) -> tuple[int, int]:
    """Training images, and dimensions of their features (a backbone's are taken for 4,096)."""
    custom = protocol.find(spec.protocol) if spec.protocol.startswith("custom") else None
    rule = protocol.PROTOCOLS.get(spec.protocol, custom)
    training = min(rule.training_images(images, len(info.classes)) if rule else images, images)
    pixels = info.channels * info.height * info.width
    return training, pixels if spec.weights == "none" else min(pixels, 4096)


def _seconds(record: Record, spec: FitSpec) -> float:
    """The record's time with its training scaled to another number of epochs."""
    ratio = (spec.epochs or 1) / (record.spec.epochs or 1)
    return record.timings.total + record.timings.train * (ratio - 1)


def decoded_size(info: DatasetInfo, images: int) -> int:
    """Bytes of a decoded data set in the cache: a byte a pixel and channel."""
    return images * info.channels * info.height * info.width


def _assumed_on_vectors(spec: FitSpec, images: int, info: DatasetInfo) -> tuple[float, float]:
    """As `_assumed`; a frozen backbone's features are computed once for all fits and not counted."""
    training, dimensions = _sides(spec, images, info)
    seconds = _VECTOR_SECONDS + _CUBE_SECONDS * min(training, dimensions) ** 3
    if spec.epochs is not None:
        seconds = _VECTOR_SECONDS + _updates(spec, training) * measured("vector_seconds", spec.method)
    return seconds, images * spec.bits / 8 + _VECTOR_BYTES


def _assumed(spec: FitSpec, images: int, info: DatasetInfo) -> tuple[float, float]:
    if spec.frozen or info.inputs == "vectors":
        return _assumed_on_vectors(spec, images, info)
    weights = _BACKBONE_BYTES.get(spec.backbone, 0)
    larger = (_PHOTOGRAPH if weights else info.height * info.width) / _PIXELS
    training, dimensions = _sides(spec, images, info)
    seconds = _CLOSED_SECONDS + _CUBE_SECONDS * min(training, dimensions) ** 3
    seconds += images / _ENCODE_RATE * larger if weights else 0.0
    if spec.epochs is not None:
        per_update = measured("core_seconds", spec.method)
        seconds = (images / _ENCODE_RATE + _updates(spec, training) * per_update) * larger
    stored = _OTHER_BYTES + (weights if spec.epochs is not None else 0)
    return seconds, images * spec.bits / 8 + stored
