"""Feature networks with published weights: torchvision's by their names, and every model of timm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.errors import InputError
from benchmark.methods._convolutions import Backbone
from benchmark.spec import BY_ORDER, PUBLISHED, Preprocessing, is_published

#: ImageNet's, as torchvision's models take them.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What a file of a whole classifier may hold behind the feature network's tensors: its last layer.
_CLASSIFIER = 2


class Pretrained(Backbone):
    """A classifier without its last layer, behind the resizing and normalisation that it was made for.

    used: the preprocessing in force, every field of it. tag: which published weights, as their library names them.
    """

    body: nn.Module
    used: Preprocessing
    tag: str
    antialias: bool

    def __init__(self, task: Task, own: Preprocessing) -> None:
        super().__init__()
        changes = task.preprocessing.model_dump(exclude_none=True)
        self.used = own.model_copy(update=changes)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.used, name)).expand(3).clone().view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 1 or 3, height, width) in [-1, 1] to (n, features); resized and normalised inside."""
        return self.body(((self._fitted(images) + 1) / 2 - self.mean) / self.std).flatten(1)

    def _fitted(self, images: Tensor) -> Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        size, crop = int(self.used.size or 0), self.used.crop or 1.0
        whole = max(size, round(size / crop))
        if images.shape[-2:] != (whole, whole):
            mode = str(self.used.interpolation)
            smooth = {} if mode == "nearest" else {"align_corners": False, "antialias": self.antialias}
            images = nn.functional.interpolate(images, size=(whole, whole), mode=mode, **smooth)
            images = images.clamp(-1, 1)  # bicubic resizing overshoots
        start = (whole - size) // 2
        return images[..., start : start + size, start : start + size]


class Torchvision(Pretrained):
    """A classifier of torchvision, at 224 px with ImageNet's mean and deviation, resized bilinearly."""

    antialias = False

    def __init__(self, task: Task) -> None:
        super().__init__(
            task, Preprocessing(size=224, interpolation="bilinear", crop=1.0, mean=_MEAN, std=_STD)
        )
        with _one_line_errors(task):
            weights = torchvision_weights(task)
            self.tag = str(weights.name) if weights is not None else task.weights
            self.body, self.features = _headless(task.backbone, weights)
        if not is_published(task.weights):
            load_file(self.body, task.weights)


class Timm(Pretrained):
    """A model of timm without its classifier, at the size, interpolation and normalisation of its configuration.

    Nothing is cropped unless `crop` says so: what of a picture is seen is the data set's choice.
    """

    antialias = True

    def __init__(self, task: Task) -> None:
        import timm

        with _one_line_errors(task):
            facts = timm.get_pretrained_cfg(task.backbone).to_dict()
            size = task.preprocessing.size or int(facts["input_size"][1])
            changed = (
                {"img_size": size} if facts.get("fixed_input_size") and size != facts["input_size"][1] else {}
            )
            pretrained = task.weights == "imagenet"
            body = timm.create_model(task.backbone, pretrained=pretrained, num_classes=0, **changed)
        mode = (
            facts["interpolation"]
            if facts["interpolation"] in ("nearest", "bilinear", "bicubic")
            else "bicubic"
        )
        mean, std = tuple(facts["mean"]), tuple(facts["std"])
        super().__init__(task, Preprocessing(size=size, interpolation=mode, crop=1.0, mean=mean, std=std))
        self.body, self.features = body, int(body.num_features)
        if hasattr(body, "head_hidden_size"):  # some have a layer between their features and their classifier
            self.features = int(body.head_hidden_size)
        self.tag = f"{task.backbone} {facts.get('tag') or ''}".strip() if pretrained else task.weights
        if not is_published(task.weights):
            load_file(self.body, task.weights)


def timm_width(task: Task) -> int:
    """How many features a model of timm gives, without its weights."""
    import timm

    with _one_line_errors(task), torch.device("meta"):
        body = timm.create_model(task.backbone, pretrained=False, num_classes=0)
    return int(getattr(body, "head_hidden_size", body.num_features))


def torchvision_width(task: Task) -> int:
    """How many features a model of torchvision gives, without its weights."""
    with torch.device("meta"):
        return _headless(task.backbone, None)[1]


@contextlib.contextmanager
def _one_line_errors(task: Task) -> Iterator[None]:
    """Downloading weights can fail in any way; the user gets one line that says what was wanted."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        text = f"backbone {task.backbone!r} with weights {task.weights!r} cannot be built: {reason}"
        raise InputError(text) from error


def torchvision_weights(task: Task) -> Any:
    """A member of torchvision's enumeration of the model's weights, or None."""
    if task.weights not in PUBLISHED:
        return None
    import torchvision

    every = torchvision.models.get_model_weights(task.backbone)
    name = {"imagenet": "DEFAULT", "imagenet-v1": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}[
        task.weights
    ]
    if name not in every.__members__:
        known = ", ".join(member for member in every.__members__ if member != "DEFAULT")
        raise InputError(f"torchvision publishes no weights {name} of {task.backbone}; it has {known}")
    return every[name]


def _headless(name: str, weights: Any) -> tuple[nn.Module, int]:
    import torchvision

    model = getattr(torchvision.models, name)(weights=weights)
    if name in ("alexnet", "vgg16"):  # keep fc6 and fc7, as the hashing literature does
        features = int(model.classifier[-1].in_features)
        model.classifier = nn.Sequential(*list(model.classifier)[:-1])
        return model, features
    features = int(model.fc.in_features)
    model.fc = nn.Identity()
    return model, features


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file or a torch state dict (weights only: no pickled code is run).

    Raises InputError for a file that is missing, damaged, or holds anything else.
    """
    if not path.is_file():
        raise InputError(f"weights file {str(path)!r} does not exist; give none, imagenet or a file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file as load

            state: Mapping[str, Tensor] = load(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"weights file {str(path)!r} cannot be read: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"weights file {str(path)!r} holds more than named tensors")
    return state


def load_file(body: nn.Module, weights: str) -> None:
    """Load a weights file, `[by-order:]FILE`, into a headless model.

    By order: the file's tensors in the order in which they were saved, whose shapes must be the model's; the two of
    a classifier's last layer may follow. Raises InputError for a file that does not fit.
    """
    path = Path(weights.removeprefix(BY_ORDER))
    state, wanted = read_weights(path), body.state_dict()
    missing = [name for name in wanted if name not in state]
    in_order = _in_order(state, wanted)
    if weights.startswith(BY_ORDER) and missing:
        if in_order is None:
            raise InputError(
                f"weights file {str(path)!r} does not fit by order: its tensors have other shapes"
            )
        state = in_order
    elif missing:
        advice = (
            ""
            if in_order is None
            else (
                f"; its {len(wanted)} tensors have the model's shapes in the model's order: give --weights "
                f"{BY_ORDER}{path} to load them so"
            )
        )
        raise InputError(
            f"weights file {str(path)!r} does not fit: it lacks {len(missing)} of {len(wanted)} tensors, "
            f"first {missing[0]!r}{advice}"
        )
    try:
        body.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"weights file {str(path)!r} does not fit: {reason}") from error


def _in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The file's tensors under the model's names, when shapes agree one by one; None otherwise."""
    given = list(state.values())
    if len(given) not in (len(wanted), len(wanted) + _CLASSIFIER):
        return None
    pairs = list(zip(wanted, given, strict=False))
    return dict(pairs) if all(wanted[name].shape == tensor.shape for name, tensor in pairs) else None
