"""What is measured of a model during its training, by the abilities it declares."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.contracts import HashMethod
from benchmark.fit.curves.classifier import FeatureNetwork, feature_network
from benchmark.fit.curves.frechet import Gaussian, frechet_distance, gaussian_of
from benchmark.fit.curves.generation import chain_measures, diversity_ratio, spread_in_features
from benchmark.fit.curves.grid import grid_png
from benchmark.fit.curves.inception import InceptionFid
from benchmark.fit.curves.reference import DRAWS, Reference, grid_labels, near_rows, reference, seen_classes
from benchmark.fit.evaluator import Evaluator
from benchmark.spec import CurveMetric, seed_stream

log = logging.getLogger(__name__)

#: Images per call of `sample`.
SAMPLE_BATCH = 250


@dataclass(frozen=True)
class CurveReading:
    """What one look at a model gave: fields of a curve point by name, and a PNG of samples."""

    values: dict[str, float] = field(default_factory=dict)
    grid: bytes | None = None


@dataclass(frozen=True)
class Probes:
    """Measures one fit's model. Everything random is drawn from the data set's name: the same labels and the
    same latent draws at every step, for every method and seed.

    metrics: what is asked for. samples: images per Fréchet distance. inception: file of Inception's weights, or
    empty for the data set's own classifier.
    """

    evaluator: Evaluator
    metrics: frozenset[CurveMetric]
    samples: int = 1000
    inception: str = ""

    def measure(self, method: HashMethod) -> CurveReading:
        """Everything asked for that the method can do. The caller keeps the model undisturbed."""
        can, grid = method.abilities(), None
        values: dict[str, float] = {}
        if "accuracy" in self.metrics and "classification" in can:
            values |= self._classification(method)
        if "fd" in self.metrics and "generation" in can:
            values |= self._distances(method, revised="revision" in can)
        if "samples" in self.metrics and "generation" in can:
            labels = grid_labels(self.evaluator.data, self.evaluator.split)
            before, after = self._sample(method, np.tile(labels, (DRAWS, 1)), "grid")
            grid = grid_png(before, after if "revision" in can else None, len(labels))
        return CurveReading({name: value for name, value in values.items() if math.isfinite(value)}, grid)

    def facts(self, method: HashMethod) -> dict[str, str | int | float]:
        """How the measured numbers are to be read, for the record."""
        can = method.abilities()
        facts: dict[str, str | int | float] = {}
        if "hashing" not in can:
            facts["curve_map"] = "codes of a head that nothing trains; not a result of this method"
        if "fd" in self.metrics and "generation" in can:
            facts |= {"curve_samples": self.samples, "curve_reference": self._reference.text}
            facts |= self._inception_facts() if self.inception else self._classifier_facts()
        return facts

    # ---- the class head ------------------------------------------------------------------------

    def _classification(self, method: HashMethod) -> dict[str, float]:
        """Accuracy on the queries of classes seen in training; micro-averaged F1 for label sets."""
        data, split = self.evaluator.data, self.evaluator.split
        seen = seen_classes(data, split)
        rows = split.query[data.labels[split.query][:, seen].any(axis=1)]
        if not len(rows):
            return {}
        logits = self._logits(method, rows)
        truth = data.labels[rows].astype(bool)
        if not data.info.multi_label:
            return {"accuracy": float((logits.argmax(axis=1) == truth.argmax(axis=1)).mean())}
        said, true = (logits > 0)[:, seen], truth[:, seen]
        either = int(said.sum() + true.sum())
        return {"label_f1": 2 * int((said & true).sum()) / max(1, either)}

    def _logits(self, method: HashMethod, rows: np.ndarray) -> np.ndarray:
        classes, parts = len(self.evaluator.data.info.classes), []
        batch = self.evaluator.encode_batch
        for start in range(0, len(rows), batch):
            images = self.evaluator.images(rows[start : start + batch])
            logits = method.class_logits(images).detach().to("cpu", torch.float32).numpy()
            if logits.shape != (len(images), classes):
                raise ValueError(f"class_logits returned {logits.shape}, not {(len(images), classes)}")
            parts.append(logits)
        return np.concatenate(parts)

    # ---- generated images ----------------------------------------------------------------------

    def _distances(self, method: HashMethod, *, revised: bool) -> dict[str, float]:
        before, after = self._sample(method, self._reference.labels, "samples")
        made = {"generated": before, "revised": after} if revised else {"generated": before}
        prefix = "fid" if self.inception else "fd"
        values = {f"{prefix}_{name}": self._distance(images) for name, images in made.items()}
        for name, images in made.items():
            values |= {f"{key}_{name}": value for key, value in self._spread(images).items()}
        if "density" in method.abilities():
            log_density = functools.partial(self._log_density, method)
            values |= chain_measures(
                log_density, self._known, self._asked, before, after if revised else None
            )
        return values

    def _spread(self, images: Tensor) -> dict[str, float]:
        """What generated images are like, among as many real ones: `benchmark/fit/curves/generation.py`."""
        real, known = self._known
        found = spread_in_features(self._real_features, self._classifier.features(images))
        ratio = diversity_ratio(real, known, images, self._asked)
        if ratio is not None:
            found["diversity"] = ratio
        if not self.evaluator.data.info.multi_label:
            said = self._classifier.classes(images)
            found["asked_class"] = float((said == self._asked.argmax(1).cpu()).double().mean())
        return found

    @staticmethod
    def _log_density(method: HashMethod, images: Tensor, labels: Tensor) -> Tensor:
        parts = zip(torch.split(images, SAMPLE_BATCH), torch.split(labels, SAMPLE_BATCH), strict=True)
        found = torch.cat([method.log_density(*part).detach() for part in parts])
        if tuple(found.shape) != (len(images),):
            raise ValueError(f"log_density returned {tuple(found.shape)}, not {(len(images),)}")
        return found

    @functools.cached_property
    def _asked(self) -> Tensor:
        return torch.from_numpy(self._reference.labels).to(self.evaluator.device)

    @functools.cached_property
    def _near(self) -> np.ndarray:
        """Rows of real images, as many as generated ones where there are so many, in the order of labels."""
        return near_rows(self.evaluator.data, self._reference)

    @functools.cached_property
    def _known(self) -> tuple[Tensor, Tensor]:
        """Those images and their labels."""
        labels = torch.from_numpy(self.evaluator.data.labels[self._near]).to(self.evaluator.device)
        return self.evaluator.images(self._near), labels

    @functools.cached_property
    def _real_features(self) -> np.ndarray:
        return self._features_of(self._near)

    def _sample(self, method: HashMethod, labels: np.ndarray, purpose: str) -> tuple[Tensor, Tensor]:
        """Images for labels (n, classes), before and after revision, checked, on the fit's device."""
        before, after = [], []
        for start in range(0, len(labels), SAMPLE_BATCH):
            part = torch.from_numpy(labels[start : start + SAMPLE_BATCH]).to(self.evaluator.device)
            seed = seed_stream("curve", self.evaluator.data.info.name, purpose, start)
            made = method.sample(part, torch.Generator().manual_seed(seed))
            info = self.evaluator.data.info
            wanted = (len(part), info.channels, info.height, info.width)
            for images in made:
                if images.dtype != torch.uint8 or tuple(images.shape) != wanted:
                    raise ValueError(
                        f"sample returned {images.dtype} {tuple(images.shape)}, not uint8 {wanted}"
                    )
            before.append(made[0])
            after.append(made[1])
        return torch.cat(before).detach(), torch.cat(after).detach()

    @functools.cached_property
    def _reference(self) -> Reference:
        return reference(self.evaluator.data, self.evaluator.split, self.samples)

    @functools.cached_property
    def _distance(self) -> Callable[[Tensor], float]:
        """Fréchet distance of uint8 images to the reference, in the features asked for."""
        if self.inception:
            return self._fid.distance
        network, real = self._classifier, self._real
        return lambda images: frechet_distance(real, gaussian_of(network.features(images)))

    @functools.cached_property
    def _classifier(self) -> FeatureNetwork:
        return feature_network(self.evaluator.data, self.evaluator.device)

    @functools.cached_property
    def _real(self) -> Gaussian:
        return gaussian_of(self._features_of(self._reference.rows))

    def _features_of(self, rows: np.ndarray) -> np.ndarray:
        batch = self.evaluator.encode_batch
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        return np.concatenate([self._classifier.features(self.evaluator.images(part)) for part in parts])

    @functools.cached_property
    def _fid(self) -> InceptionFid:
        real = self.evaluator.images(self._reference.rows)
        return InceptionFid(Path(self.inception), real, self.evaluator.device)

    # ---- how to read them ----------------------------------------------------------------------

    def _classifier_facts(self) -> dict[str, str | int | float]:
        network, name = self._classifier, self.evaluator.data.info.name
        return {
            "curve_fd": f"Fréchet distance in the features of a classifier trained on {name}; not Inception FID",
            "curve_fd_classifier": network.digest,
            "curve_fd_classifier_accuracy": round(network.accuracy, 4),
            "curve_fd_classifier_images": network.trained_on,
            **self._floor("curve_fd_real"),
        }

    def _inception_facts(self) -> dict[str, str | int | float]:
        return {
            "curve_fid": "FID: torchmetrics FrechetInceptionDistance, 2,048 features, torch-fidelity's Inception",
            "curve_fid_weights": self._fid.digest,
            **self._floor("curve_fid_real"),
        }

    def _floor(self, name: str) -> dict[str, float]:
        """The distance of real images outside the reference: what perfect samples would get."""
        other = self._reference.other
        if len(other) < 2:
            return {}
        return {name: self._distance(self.evaluator.images(other)), f"{name}_images": len(other)}
