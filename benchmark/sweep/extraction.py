"""What a frozen backbone has still to encode for a plan, and how long it takes here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from benchmark.data.protocol import draw, resolve
from benchmark.errors import InputError
from benchmark.fit.frozen import BATCH, encode_with, features_folder, ready_backbone
from benchmark.spec import FitSpec
from benchmark.spec.views import View
from benchmark.sweep.lookup import Lookup
from benchmark.sweep.plan import Plan, PlannedFit


@dataclass(frozen=True)
class Extraction:
    """One data set's part. images: whose features are not in the cache. changed: images of views, encoded once for
    all fits, so many at most: what is in the cache already is not known before they are made. per_second: images,
    measured on this device just now; 0 where nothing is left to encode.
    """

    dataset: str
    images: int
    changed: int
    per_second: float

    @property
    def text(self) -> str:
        """`features of mnist: 70,000 images, once; about 3.3 minutes at 350 a second, measured here`."""
        parts = [f"{self.images:,} images, once" if self.images else "in the cache"]
        if self.changed:
            parts.append(f"{self.changed:,} changed images of views, once, at most")
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
    alike: dict[tuple[str, str, str], list[PlannedFit]] = {}
    for planned in (planned for plan in plans if plan.sweep.frozen for planned in plan.fits):
        if planned.fit is not None and planned.run and planned.fit.dataset not in known.absent:
            key = (planned.fit.dataset, planned.fit.backbone, planned.fit.preprocessing.as_text())
            alike.setdefault(key, []).append(planned)
    return [_extraction(alike_fits, known, device, weights_file) for alike_fits in alike.values()]


def _extraction(alike_fits: list[PlannedFit], known: Lookup, device: str, weights_file: str) -> Extraction:
    """Of the planned fits on one data set's features by one backbone."""
    fits = [planned.fit for planned in alike_fits if planned.fit is not None]
    first, info = fits[0], known.info(fits[0].dataset)
    folders = {features_folder(fit, info) for fit in fits}
    missing = sum(not (folder / "features.npy").is_file() for folder in folders)
    views = {  # by what decides a view's features: the backbone's, and the rows
        (features_folder(fit, info), fit.protocol, fit.seed, view)
        for planned, fit in zip(alike_fits, fits, strict=True)
        for view in planned.views
    }
    changed = sum(_changed(first.dataset, protocol, seed, view, known) for _, protocol, seed, view in views)
    rate = _rate(first, known, device, weights_file) if missing or changed else 0.0
    return Extraction(first.dataset, missing * known.images(first.dataset), changed, rate)


def _changed(dataset: str, protocol: str, seed: int, view: View, known: Lookup) -> int:
    """How many images of a view must be encoded; 0 where it changes none or its data set is not at hand."""
    if view.kind == "unseen-classes":
        return 0
    if view.kind == "corruption":
        return sum(_parts(dataset, protocol, seed, view, known))
    try:
        return sum(_parts(view.name, "default", seed, view, known))
    except InputError:
        return 0


def _parts(dataset: str, protocol: str, seed: int, view: View, known: Lookup) -> Iterator[int]:
    """The sizes of the parts that a view changes."""
    summary, info = known.summary(dataset), known.info(dataset)
    if summary is not None:
        split = draw(resolve(protocol, info), info, summary.labels, seed, parts=summary.parts)
        yield len(split.query) if view.target != "database" else 0
        yield len(split.database) if view.target != "queries" else 0


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
