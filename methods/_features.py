"""Features for methods that train no network: raw pixels, or a backbone's penultimate layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from benchmark.contracts import FitContext, HashData, HashMethod, MethodInfo, Params, Task
from benchmark.methods._backbones import Backbone, build_backbone, features_text
from benchmark.methods._images import to_float


class ShallowParams(Params):
    """`features`: `pixels`, `backbone` (penultimate layer, frozen), or `auto`: the backbone when it has
    pre-trained weights, else pixels (an untrained network's features say less than the pixels do).
    """

    features: Literal["auto", "pixels", "backbone"] = "auto"


class ShallowMethod(HashMethod):
    """Base of shallow methods: write `learn` (fill `tensors`) and `project` (features to outputs).

    Features are centred per dimension by the training mean, which is part of the state: with non-negative
    activations and no centring many bits would be constant.
    """

    Params = ShallowParams
    params: ShallowParams
    info: MethodInfo

    tensors: dict[str, Tensor]
    ctx: FitContext

    def learn(self, features: Tensor, data: HashData) -> dict[str, Tensor]:
        """Learn from centred features float32 (n, d) of the labelled images; return the state's tensors."""
        raise TypeError(f"{type(self).__name__} must define learn()")

    def project(self, features: Tensor) -> Tensor:
        """Centred features (n, d) to outputs (n, bits); the default is linear, by `projection` (d, bits)."""
        return features @ self.tensors["projection"]

    def uses_backbone(self, task: Task) -> bool:
        """Whether features come from the backbone, as `features` resolves for the task."""
        return self.params.features == "backbone" or (
            self.params.features == "auto" and task.weights != "none"
        )

    def fit(self, data: HashData, ctx: FitContext) -> None:
        """Extract features of all training images (labels are read by supervised methods only)."""
        self.ctx = ctx
        features = self.extract(torch.cat([data.images, data.unlabelled]))
        mean = features.mean(dim=0)
        self.tensors = {"mean": mean}
        centred = features - mean
        if self.info.supervision != "unsupervised":
            centred = centred[: len(data.images)]
        self.tensors |= self.learn(centred, data)

    def encode(self, images: Tensor) -> Tensor:
        """Outputs float32 (n, bits)."""
        with torch.inference_mode():
            return self.project(self.extract(images) - self.tensors["mean"]).float()

    def extract(self, images: Tensor) -> Tensor:
        """uint8 images to float32 features (n, d), a chunk at a time."""
        if not self.uses_backbone(self.ctx.task):
            return to_float(images).flatten(1)
        network = self._backbone()
        with torch.inference_mode():
            return torch.cat([network(to_float(part)).float() for part in images.split(256)]).clone()

    def state(self) -> dict[str, Tensor]:
        """The learnt tensors, and the backbone's when features come from one."""
        extra = {}
        if self.uses_backbone(self.ctx.task):
            extra = {f"backbone.{key}": value for key, value in self._backbone().state_dict().items()}
        return {key: value.detach().cpu().contiguous() for key, value in (self.tensors | extra).items()}

    def load_state(self, state: Mapping[str, Tensor], ctx: FitContext) -> None:
        """Take the tensors over, and the backbone's weights where there are some."""
        self.ctx = ctx
        inner = {key.removeprefix("backbone."): v for key, v in state.items() if key.startswith("backbone.")}
        if inner:
            self._backbone().load_state_dict(inner)
        outer = {key: value for key, value in state.items() if not key.startswith("backbone.")}
        self.tensors = {key: value.to(ctx.device) for key, value in outer.items()}

    def facts(self) -> dict[str, str | int | float]:
        """Which features were used, for the record."""
        task = self.ctx.task
        size = len(self.tensors["mean"])
        plain = f"raw pixels, {size}-d" if task.inputs == "images" else features_text(task, "")
        return {
            "features": features_text(task, "frozen") if self.uses_backbone(task) else f"{plain}, centred",
            "parameters": sum(value.numel() for value in self.tensors.values()),
        }

    def _backbone(self) -> Backbone:
        if not hasattr(self, "_network"):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.ctx.seed("init"))
                self._network = build_backbone(self.ctx.task).to(self.ctx.device).eval()
        return self._network


def principal_directions(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` leading eigenvectors (d, count) of the covariance of centred features, and the eigenvalues.

    Both float64, in falling order.
    """
    x = features.double()
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    return vectors.flip(1)[:, :count], values.flip(0)[:count]


def too_many_bits(title: str, task: Task) -> str | None:
    """Why a PCA-based method cannot give this many bits from raw pixels, or None."""
    size = task.channels * task.height * task.width
    if task.weights == "none" and task.bits > size:
        return f"{title} needs bits <= feature dimensions: {task.bits} > {size}"
    return None
