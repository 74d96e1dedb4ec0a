"""What a frozen backbone has still to encode for a plan, and how long it takes here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from benchmark.data import protocol
from benchmark.fit.frozen import BATCH, encode_with, features_folder, ready_backbone
from benchmark.spec import FitSpec, seed_stream
from benchmark.sweep.lookup import Lookup
from benchmark.sweep.plan import Plan


@dataclass(frozen=True)
class Extraction:
    """One data set's part. images: whose features are not in the cache. changed: images of views, which every fit
    encodes anew. per_second: images, measured on this device just now; 0 where nothing is left to encode.
    """

    dataset: str
    images: int
    changed: int
    per_second: float

    @property
    def text(self) -> str:
        """`features of cifar10-jpeg: 60,000 images at about 350 a second: 3 minutes, once`."""
        parts = [f"{self.images:,} images, once" if self.images else "in the cache"]
        if self.changed:
            parts.append(f"{self.changed:,} changed images of views")
        todo = self.images + self.changed
        if todo:
            minutes = todo / self.per_second / 60
            took = f"{minutes:,.1f} minutes" if minutes >= 1 else "under a minute"
            parts.append(f"about {took} at {self.per_second:,.0f} a second, measured here")
        return f"features of {self.dataset}: {'; '.join(parts)}"


def extractions(
    plans: Iterable[Plan], known: Lookup, device: str, weights_file: str = ""
) -> list[Extraction]:
    """What the frozen fits of plans need, data set by data set; the rate is that of each backbone, tried once."""
    found: dict[tuple[str, str, str], tuple[FitSpec, set[str], int]] = {}
    for plan in plans:
        for cell in plan.cells if plan.sweep.frozen else ():
            if cell.fit is None or not cell.run or cell.fit.dataset in known.absent:
                continue
            spec = cell.fit
            info = known.info(spec.dataset)
            folder = features_folder(spec, info, seed_stream("trial", info.split_key or info.name, spec.seed))
            key = (spec.dataset, spec.backbone, spec.preprocessing.as_text())
            first, folders, changed = found.setdefault(key, (spec, set(), 0))
            if not (folder / "features.npy").is_file():
                folders.add(str(folder))
            changed += len(cell.views) * _queries(spec, known) if cell.views else 0
            found[key] = (first, folders, changed)
    return [
        Extraction(
            spec.dataset,
            len(folders) * known.images(spec.dataset),
            changed,
            _rate(spec, known, device, weights_file) if folders or changed else 0.0,
        )
        for spec, folders, changed in found.values()
    ]


def _queries(spec: FitSpec, known: Lookup) -> int:
    summary, info = known.summary(spec.dataset), known.info(spec.dataset)
    if summary is None:
        return 0
    rule = protocol.resolve(spec.protocol, info)
    return len(protocol.draw(rule, info, summary.labels, spec.seed, parts=summary.parts).query)


def _rate(spec: FitSpec, known: Lookup, device: str, weights_file: str) -> float:
    """Images a second through the backbone: the best of three batches after two that warm up."""
    info = known.info(spec.dataset)
    body = ready_backbone(spec, info, 0, device, weights_file)
    images = torch.zeros((BATCH, info.channels, info.height, info.width), dtype=torch.uint8, device=device)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        encode_with(body, images).cpu()  # waits for a GPU
        times.append(time.perf_counter() - begun)
    return BATCH / max(min(times[2:]), 1e-9)
