"""A small classifier of one data set whose features stand in for Inception's; made once, kept in the cache.

It never takes part in a fit. Trained in fp32 on the device of the fit that needs it first, from fixed seeds on a
fixed draw of the whole data set with all its labels, whatever the protocol and the seed, so that distances of
different fits can be compared. Records hold its digest: the classifiers of a GPU and of a CPU are not the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load, save
from torch import Tensor, nn

from benchmark.data.load import LoadedDataset
from benchmark.files.places import cache_root
from benchmark.files.write import write_file
from benchmark.fit.devices import numerics
from benchmark.spec import seed_stream

log = logging.getLogger(__name__)

#: Raised whenever the same data would give another classifier.
VERSION = 1
#: Dimension of the features; small, so that 1,000 images determine a covariance.
FEATURES = 64
#: Images it is trained on and judged on, at most; longest side it sees; the training.
TRAINED_ON, JUDGED_ON, LONGEST = 20_000, 2_000, 64
UPDATES, BATCH, RATE = 500, 128, 3e-3


class Classifier(nn.Module):
    """Three convolutions, a layer of `FEATURES` linear units (the features), and a linear layer of logits."""

    scale: Tensor

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_block(channels, 32), nn.MaxPool2d(2), *_block(32, 64), nn.MaxPool2d(2), *_block(64, 128)
        )
        self.embed = nn.Linear(128 * 4, FEATURES)
        self.head = nn.Linear(FEATURES, classes)
        self.register_buffer("scale", torch.ones(()))

    def features(self, images: Tensor) -> Tensor:
        """float32 (n, FEATURES) of uint8 images (n, channels, height, width), not yet scaled."""
        x = images.float().div(127.5).sub(1.0)
        longest = max(x.shape[-2:])
        if longest > LONGEST:
            size = [max(4, round(side * LONGEST / longest)) for side in x.shape[-2:]]
            x = nn.functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        x = nn.functional.adaptive_avg_pool2d(self.convolutions(x), 2)
        return cast(Tensor, self.embed(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return cast(Tensor, self.head(self.features(images).relu()))


def _block(inward: int, outward: int) -> list[nn.Module]:
    return [nn.Conv2d(inward, outward, 3, padding=1, bias=False), nn.BatchNorm2d(outward), nn.ReLU()]


@dataclass(frozen=True)
class FeatureNetwork:
    """A trained classifier in evaluation mode: what it was trained on, how good it is, its weights' digest.

    accuracy: share of held-out images that get their class (multi-label: share of labels that are right).
    """

    network: Classifier
    trained_on: int
    accuracy: float
    digest: str

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 250) -> np.ndarray:
        """float64 (n, FEATURES) of uint8 images, scaled so that real images' covariance has trace 1."""
        parts = [self.network.features(part) for part in torch.split(images, batch)]
        features: np.ndarray = (torch.cat(parts) / self.network.scale).cpu().double().numpy()
        return features

    @torch.inference_mode()
    def classes(self, images: Tensor, batch: int = 250) -> Tensor:
        """int64 (n,), on the CPU: the class that each of uint8 images gets."""
        return torch.cat([self.network(part).argmax(dim=1) for part in torch.split(images, batch)]).cpu()


def feature_network(data: LoadedDataset, device: torch.device) -> FeatureNetwork:
    """The classifier of a data set, from the cache when it is there and whole, else trained now (minutes).

    Processes that want the same one wait for the one that trains it.
    """
    path = cache_root() / "classifiers" / f"{data.info.name}-{data.fingerprint}-v{VERSION}.safetensors"
    kept = _read(path, data)
    if kept is None:
        with _alone(path):
            kept = _read(path, data)
            if kept is None:
                log.info(
                    "training the classifier of %s whose features the Fréchet distance uses", data.info.name
                )
                kept = _train(data, device)
                _write(path, kept)
    kept.network.to(device).requires_grad_(False).eval()
    return kept


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, where the folder can hold a lock."""
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path.with_suffix(".lock")))
        except OSError as error:
            log.warning("the classifier of the Fréchet distance has no lock: %s", error)
        yield


def _train(data: LoadedDataset, device: torch.device) -> FeatureNetwork:
    seed = seed_stream("classifier", VERSION, data.fingerprint)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.images), generator=draw).numpy()
    held = min(JUDGED_ON, max(1, len(order) // 5))
    rows = order[held : held + TRAINED_ON]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(data.info.channels, len(data.info.classes)).to(device)
    with numerics("fp32", str(device)):
        return _trained(network, data, rows, order[:held], draw)


def _trained(
    network: Classifier, data: LoadedDataset, rows: np.ndarray, held: np.ndarray, draw: torch.Generator
) -> FeatureNetwork:
    """The network after its training on `rows`, judged on `held`."""
    _descend(network, data, rows, draw)
    network.eval()
    with torch.inference_mode():
        spread = torch.cat([network.features(_images(data, part, network)) for part in _parts(rows[:5_000])])
        network.scale.fill_(spread.double().var(dim=0).sum().sqrt().clamp_min(1e-12))
    return FeatureNetwork(network, len(rows), _judge(network, data, held), _digest(network))


def _descend(network: Classifier, data: LoadedDataset, rows: np.ndarray, draw: torch.Generator) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=UPDATES)
    network.train()
    for _ in range(UPDATES):
        batch = rows[torch.randint(len(rows), (BATCH,), generator=draw).numpy()]
        logits, labels = network(_images(data, batch, network)), _labels(data, batch, network)
        if data.info.multi_label:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = nn.functional.cross_entropy(logits, labels.argmax(dim=1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def _judge(network: Classifier, data: LoadedDataset, rows: np.ndarray) -> float:
    right = []
    for part in _parts(rows):
        logits, labels = network(_images(data, part, network)), _labels(data, part, network)
        if data.info.multi_label:
            right.append(((logits > 0) == (labels > 0)).double().mean(dim=1))
        else:
            right.append((logits.argmax(dim=1) == labels.argmax(dim=1)).double())
    return float(torch.cat(right).mean())


def _parts(rows: np.ndarray, size: int = 500) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _images(data: LoadedDataset, rows: np.ndarray, network: Classifier) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(data.images[rows])).to(network.scale.device)


def _labels(data: LoadedDataset, rows: np.ndarray, network: Classifier) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(data.labels[rows])).float().to(network.scale.device)


def _digest(network: Classifier) -> str:
    hasher = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        hasher.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return hasher.hexdigest()[:12]


def _read(path: Path, data: LoadedDataset) -> FeatureNetwork | None:
    """The kept classifier; None when there is none, or when it is damaged (it is then made again)."""
    network = Classifier(data.info.channels, len(data.info.classes))
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(content[8 : 8 + length])["__metadata__"]
        network.load_state_dict(load(content))
        kept = FeatureNetwork(
            network, int(facts["trained_on"]), float(facts["accuracy"]), str(facts["digest"])
        )
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - any damage: it is trained again
        log.warning("kept classifier %s cannot be used (%s); training it again", path.name, error)
        return None
    if _digest(network) != kept.digest:
        log.warning("kept classifier %s does not match its digest; training it again", path.name)
        return None
    return kept


def _write(path: Path, kept: FeatureNetwork) -> None:
    """Write beside, then rename. A disk that cannot be written costs the next fit the training, no more."""
    facts = {"trained_on": str(kept.trained_on), "accuracy": repr(kept.accuracy), "digest": kept.digest}
    state = {name: tensor.contiguous() for name, tensor in kept.network.state_dict().items()}
    try:
        write_file(path, save(state, metadata=facts))
    except OSError as error:
        log.warning("the classifier of the Fréchet distance is not kept: %s", error)
