"""Feature networks by name: `compact` for 8-32 px, `residual` for 32-64 px, torchvision's and timm's for more.

Every backbone maps float images in [-1, 1] (n, channels, height, width) to features (n, `features`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.contracts import VECTORS, Task
from benchmark.errors import InputError, unknown
from benchmark.methods._convolutions import SLOPE, Backbone, Compact, Pixels, Residual, initialise
from benchmark.methods._pretrained import (
    Timm,
    Torchvision,
    read_weights,
    timm_width,
    torchvision_weights,
    torchvision_width,
)
from benchmark.spec import PLAIN, is_published

__all__ = [
    "BACKBONES",
    "SLOPE",
    "Backbone",
    "build_backbone",
    "check_backbone",
    "features_of",
    "features_text",
    "initialise",
    "read_weights",
]

BACKBONES: dict[str, Callable[[Task], Backbone]] = {
    "compact": Compact,
    "residual": Residual,
    "pixels": Pixels,
    VECTORS: Pixels,
    "alexnet": Torchvision,
    "vgg16": Torchvision,
    "resnet18": Torchvision,
    "resnet34": Torchvision,
    "resnet50": Torchvision,
}


def build_backbone(task: Task) -> Backbone:
    """The feature network that the task names, with the hidden layer of its head where it asks for one.

    Raises InputError for an unknown name, or for weights that a backbone without published weights is given.
    """
    check_backbone(task)
    backbone = BACKBONES.get(task.backbone, Timm)(task)
    kind, _, width = task.head.partition(":")
    return Hidden(backbone, int(width)) if kind == "mlp" else backbone


class Hidden(Backbone):
    """A backbone, then a fully connected layer of `width` rectified units, learnt at the head's rate."""

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.body, self.layer, self.features = backbone, nn.Linear(backbone.features, width), width
        nn.init.kaiming_normal_(self.layer.weight, nonlinearity="relu")
        nn.init.zeros_(self.layer.bias)

    def trained_before(self) -> list[nn.Parameter]:
        """The backbone's alone."""
        return self.body.trained_before()

    def forward(self, images: Tensor) -> Tensor:
        """Images, or vectors (n, d), to (n, width)."""
        return torch.relu(self.layer(self.body(images)))


def check_backbone(task: Task) -> None:
    """Raise InputError for an unknown backbone, or for weights or a preprocessing that it does not come with."""
    own = BACKBONES.get(task.backbone)
    if task.inputs == "vectors" and task.backbone == "pixels":
        return  # as they are, under the name that plug-ins know
    if (task.backbone == VECTORS) != (task.inputs == "vectors"):
        known = [name for name in BACKBONES if name != VECTORS]
        raise InputError(
            f"backbone {task.backbone!r} does not take {task.inputs}; allowed: {', '.join(known)}, ..."
        )
    if own is None:
        _check_timm(task)
    elif own is Torchvision:
        torchvision_weights(task)
    elif task.weights != "none":
        raise InputError(f"backbone {task.backbone!r} has no weights {task.weights!r}; allowed: none")
    elif task.preprocessing != PLAIN:
        raise InputError(
            f"backbone {task.backbone!r} takes images as they are: no input size or preprocessing"
        )


def features_of(task: Task) -> int:
    """How many features the task's backbone gives an image; no weights are read for it."""
    check_backbone(task)
    own = BACKBONES.get(task.backbone)
    if own is None:
        return timm_width(task)
    return torchvision_width(task) if own is Torchvision else own(task).features


def features_text(task: Task, how: str) -> str:
    """Where features come from, for the record; how: `trained` or `frozen`."""
    if task.inputs == "vectors":
        return f"vectors, {task.channels}-d"
    # A file goes by its name: no folders in a record.
    weights = task.weights if is_published(task.weights) else Path(task.weights).name
    return f"{task.backbone} backbone, weights {weights}, {how}"


def _check_timm(task: Task) -> None:
    import timm

    if not timm.is_model(task.backbone):
        near = timm.list_models(f"*{task.backbone.split('_')[0].split('.')[0]}*")
        raise unknown(
            "backbone", task.backbone, [*(name for name in BACKBONES if name != VECTORS), *near[:20]]
        )
    if task.weights in ("imagenet-v1", "imagenet-v2"):
        raise InputError(
            f"weights {task.weights!r} are torchvision's; a model of timm names its own after a dot, as in "
            "resnet50.tv_in1k, with weights imagenet"
        )
