"""Features of a frozen backbone: computed once for a data set, kept in the cache, shared by every fit on them."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from benchmark.contracts import DatasetInfo
from benchmark.data import view_cache
from benchmark.data.load import LoadedDataset
from benchmark.data.view_images import Images
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.files.write import write_file
from benchmark.fit.devices import numerics
from benchmark.fit.randomness import root_seed
from benchmark.fit.result import Interrupted
from benchmark.fit.runtime import Progress, Runtime
from benchmark.methods._backbones import build_backbone
from benchmark.methods._images import to_float
from benchmark.methods._pretrained import Pretrained
from benchmark.spec import FitSpec, digest, is_published, seed_stream

#: Raised when the same backbone would give other features; older cached ones are then not read.
VERSION = 1
#: Images in one forward pass: small ones stay in a processor's cache, large ones fill a GPU.
BATCH, _GPU_BATCH = 32, 256
#: Images between two looks at whether to stop; an extraction goes on at a multiple of it.
BLOCK = 256
#: Seconds between two moments from which a killed extraction goes on.
_SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class Features:
    """The frozen features of a data set.

    data: the set with a vector, float32 (n, d) and memory-mapped, in place of each image. network: gives the same
    features for other images. facts: for the record.
    """

    data: LoadedDataset
    network: FeatureNetwork
    facts: dict[str, str | int | float]

    def of(self, images: Tensor) -> Tensor:
        """uint8 images (n, channels, height, width) to float32 features (n, d), on the images' device."""
        return self.network(images)

    def of_view(self, images: Images) -> Callable[[int, int], Tensor]:
        """`part(start, stop)` of a view's images as features on the fit's device.

        They are computed once for all fits, under the digest of backbone and pixels, where the cache has room.
        """
        device, n = self.network.runtime.device, len(images.rows)

        def made(start: int, stop: int) -> Tensor:
            return self.network(images.part(start, stop).to(device))

        pixels = hashlib.sha256(self.network.key().encode())
        for start in range(0, n, BLOCK):
            pixels.update(images.part(start, min(start + BLOCK, n)).contiguous().numpy().data)
        kept = view_cache.kept(
            f"{self.data.info.name}-features-{pixels.hexdigest()[:32]}",
            (n, self.data.images.shape[1]),
            lambda start, stop: made(start, stop).cpu().numpy(),
            np.float32,
        )
        if kept is None:
            return made
        return lambda start, stop: torch.from_numpy(np.array(kept[start:stop])).to(device)


@dataclass(frozen=True)
class FeatureNetwork:
    """The backbone of a frozen fit, in evaluation mode; it is built when it is first needed."""

    spec: FitSpec
    images: LoadedDataset
    runtime: Runtime
    root_seed: int

    @functools.cached_property
    def body(self) -> torch.nn.Module:
        """The network on the fit's device. Untrained ones start from the fit's seed, as in training."""
        runtime = self.runtime
        return ready_backbone(self.spec, self.images.info, self.seed, runtime.device, runtime.weights_file)

    @property
    def seed(self) -> int:
        """The seed of an untrained backbone."""
        return _body_seed(self.root_seed)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images to float32 features (n, d); always in full precision."""
        return encode_with(self.body, images)

    def key(self) -> str:
        """Names what the features depend on: pixels, network, weights, preprocessing."""
        return _key(self.spec, self.images.fingerprint, self.seed)

    def facts(self) -> dict[str, str | int | float]:
        """What the record says of the network, from the network itself."""
        body = self.body
        found: dict[str, str | int | float] = {"frozen_features": self.width()}
        if isinstance(body, Pretrained):
            # A file is named by its digest: no folders in a record.
            weights = body.tag if is_published(self.spec.weights) else self.spec.weights
            found |= {"frozen_weights": weights, "frozen_preprocessing": body.used.describe()}
        return found

    def width(self) -> int:
        """How many features an image has."""
        return int(self.body.features)  # type: ignore[arg-type]


def ready_backbone(
    spec: FitSpec, info: DatasetInfo, seed: int, device: str, weights_file: str = ""
) -> torch.nn.Module:
    """A fit's backbone in evaluation mode on a device; an untrained one starts from `seed`."""
    task = info.task(spec.bits, spec.backbone, weights_file or spec.weights, spec.preprocessing)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body: torch.nn.Module = build_backbone(task)
    body = body.requires_grad_(False).eval().to(device)
    body.to(memory_format=torch.channels_last)  # convolutions are two to three times faster so
    return body


def encode_with(body: torch.nn.Module, images: Tensor) -> Tensor:
    """uint8 images (n, channels, height, width) to float32 features (n, d), batch by batch, in full precision."""
    size, found = _GPU_BATCH if images.device.type == "cuda" else BATCH, []
    with torch.inference_mode(), numerics("fp32", str(images.device)):
        for start in range(0, len(images), size):
            pixels = to_float(images[start : start + size])
            found.append(body(pixels.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(found).clone()


def features_folder(spec: FitSpec, info: DatasetInfo) -> Path:
    """Where the cache keeps the features of a fit on the data of its fingerprint."""
    return _folder(info, _key(spec, spec.fingerprint, _body_seed(root_seed(info, spec.seed))))


def _body_seed(root: int) -> int:
    """The seed of an untrained backbone: that of the same fit with a backbone that is trained."""
    return seed_stream("fit", root, "init")


def _key(spec: FitSpec, fingerprint: str, seed: int) -> str:
    changes = spec.preprocessing.model_dump(mode="json", exclude_none=True)
    drawn = seed if spec.weights == "none" else None
    return digest([VERSION, fingerprint, spec.backbone, spec.weights, changes, drawn])


def _folder(info: DatasetInfo, key: str) -> Path:
    return cache_root() / "features" / f"{info.name}-{key}"


def frozen_features(
    data: LoadedDataset,
    spec: FitSpec,
    runtime: Runtime,
    root_seed: int,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> Features:
    """The features of a data set by a fit's backbone: from the cache, or computed and cached now.

    Several processes that want the same wait for the one that computes. A killed computation goes on where it was,
    and ends with the same bytes. Raises Interrupted after `stop` turned true, InputError when the backbone cannot
    be built or its features are not finite.
    """
    network = FeatureNetwork(spec, data, runtime, root_seed)
    folder = _folder(data.info, network.key())
    found = _read(folder, len(data.images))
    if found is None:
        found = _compute(folder, network, progress, stop)
    array, facts = found
    vectors = replace(data, info=data.info.as_vectors(array.shape[1]), images=array)
    how = f"{facts.get('frozen_weights', spec.weights)}, frozen, {array.shape[1]}-d, no augmentation"
    return Features(vectors, network, {"features": f"{spec.backbone} backbone, weights {how}", **facts})


def _read(folder: Path, n: int) -> tuple[np.ndarray, dict[str, str | int | float]] | None:
    """Finished features, memory-mapped, and their facts."""
    try:
        facts = json.loads((folder / "facts.json").read_text())
        array: np.ndarray = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = array.ndim == 2 and len(array) == n and array.dtype == np.float32 and isinstance(facts, dict)
    return (array, facts) if usable else None


def _compute(
    folder: Path, network: FeatureNetwork, progress: Callable[[Progress], None], stop: Callable[[], bool]
) -> tuple[np.ndarray, dict[str, str | int | float]]:
    """Compute under a lock; whoever waited for another process reads what that one wrote."""
    n, label = len(network.images.images), network.spec.label
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        while True:
            try:
                with lock.acquire(timeout=0.5):
                    found = _read(folder, n)
                    if found is None:
                        _fill(folder, network, progress, stop)
                        found = _read(folder, n)
                    break
            except Timeout:
                progress(Progress("features (another process computes them)"))
                if stop():
                    raise Interrupted(label) from None
    except OSError as error:
        reason = f"{error.strerror or error}; make room, or set BENCHMARK_CACHE"
        raise InputError(f"features cannot be kept in {str(folder)!r}: {reason}") from error
    if found is None:
        raise InputError(f"features in {str(folder)!r} vanished while they were written")
    return found


def _fill(
    folder: Path, network: FeatureNetwork, progress: Callable[[Progress], None], stop: Callable[[], bool]
) -> None:
    """Go on with what an earlier run left, block by block, and give it its final name."""
    images, scratch = network.images.images, folder / "partial.npy"
    shape = (len(images), network.width())
    need = shape[0] * shape[1] * 4
    done = _done(folder, scratch, shape)
    if not done and shutil.disk_usage(folder).free < need:
        raise InputError(
            f"features need {need / 1e9:.1f} GB in {str(folder)!r}; make room, or set BENCHMARK_CACHE"
        )
    out = np.lib.format.open_memmap(scratch, mode="r+" if done else "w+", dtype=np.float32, shape=shape)
    begun = saved = time.monotonic()
    for start in range(done, len(images), BLOCK):
        block = torch.from_numpy(np.array(images[start : start + BLOCK])).to(network.runtime.device)
        found = network(block).cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(f"backbone {network.spec.backbone!r} gives features that are not finite")
        out[start : start + BLOCK] = found
        stop_now = stop()
        if stop_now or time.monotonic() - saved > _SAVE_SECONDS:
            out.flush()
            write_file(folder / "done.json", json.dumps(start + len(block)).encode())
            saved = time.monotonic()
        ended = start + len(block)
        rate = (ended - done) / max(time.monotonic() - begun, 1e-9)
        left = (len(images) - ended) / rate
        progress(Progress("features", ended, len(images), images_per_second=rate, seconds_left=left))
        if stop_now:
            raise Interrupted(network.spec.label)
    out.flush()
    write_file(folder / "facts.json", json.dumps(network.facts(), indent=1).encode())
    scratch.replace(folder / "features.npy")
    (folder / "done.json").unlink(missing_ok=True)


def _done(folder: Path, scratch: Path, shape: tuple[int, int]) -> int:
    """The images that an earlier run is known to have finished: whole blocks, 0 where there is nothing usable."""
    try:
        done = json.loads((folder / "done.json").read_text())
        array = np.load(scratch, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return 0
    usable = isinstance(done, int) and 0 <= done <= shape[0] and done % BLOCK == 0 and array.shape == shape
    return done if usable and array.dtype == np.float32 else 0
