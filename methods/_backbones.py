"""Feature networks by name: `compact` for 8-32 px, `residual` for 32-64 px, torchvision's for large images.

Every backbone maps float images in [-1, 1] (n, channels, height, width) to features (n, `features`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.contracts import Task
from benchmark.errors import InputError, unknown

#: Slope of the leaky rectifiers, as in the cooperative-learning literature.
SLOPE = 0.2


class Backbone(nn.Module):
    """Base class; `features` is the width of the output."""

    features: int


class Compact(Backbone):
    """Three or four convolutions without normalisation, for images of 8 to 64 px.

    Normalisation-free so that one base serves both a hash network and an energy-based descriptor (batch
    statistics would tie an image's energy to its neighbours). Each 4x4 stride-2 stage halves the image,
    down to 3-4 px; features are the flattened last map. He initialisation for the rectifier's slope.
    """

    def __init__(self, task: Task, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(task.channels, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
        size, channels = (task.height, task.width), width
        while min(size) > 5:
            grown = min(2 * channels, 4 * width)
            layers += [nn.Conv2d(channels, grown, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels, size = grown, (size[0] // 2, size[1] // 2)
        self.layers = nn.Sequential(*layers)
        self.features = channels * size[0] * size[1]
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to (n, features)."""
        return self.layers(images).flatten(1)


class Residual(Backbone):
    """A deeper residual network without normalisation, for images of 32 to 64 px.

    A 3x3 stem, then blocks that halve the map down to 3-5 px and one block at that size; features are
    the flattened last map. Without normalisation for the reason that `Compact` gives.
    """

    def __init__(self, task: Task, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(task.channels, width, 3, padding=1)]
        size, channels = (task.height, task.width), width
        while min(size) > 5:
            grown = min(2 * channels, 4 * width)
            layers.append(_ResidualBlock(channels, grown, halve=True))
            channels, size = grown, (size[0] // 2, size[1] // 2)
        layers += [_ResidualBlock(channels, channels, halve=False), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.features = channels * size[0] * size[1]
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1] to (n, features)."""
        return self.layers(images).flatten(1)


class _ResidualBlock(nn.Module):
    """Skip and two 3x3 convolutions, averaged so that the variance stays; halved by average pooling."""

    def __init__(self, channels: int, grown: int, halve: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, grown, 3, padding=1),
        )
        self.skip = nn.Identity() if channels == grown else nn.Conv2d(channels, grown, 1)
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        return self.pool((self.skip(maps) + self.branch(maps)) * 0.5**0.5)


class Pixels(Backbone):
    """No network at all: the flattened image. Lets a loss be studied on a linear model."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.features = task.channels * task.height * task.width

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to (n, channels * height * width)."""
        return images.flatten(1)


class Torchvision(Backbone):
    """A torchvision classifier without its last layer, fed with ImageNet-normalised 224 px images."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        with _one_line_errors(task):
            weights = "DEFAULT" if task.weights == "imagenet" else None
            self.body, self.features = _headless(task.backbone, weights)
        if task.weights not in ("none", "imagenet"):
            _load_file(self.body, Path(task.weights))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 1 or 3, height, width) in [-1, 1] to (n, features); resized to 224 px inside."""
        images = _resized(images, (224, 224))
        return self.body(((images + 1) / 2 - self.mean) / self.std).flatten(1)


class Timm(Backbone):
    """A vision transformer of timm without its classifier, at the input size and normalisation it was made for."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        import timm

        with _one_line_errors(task):
            pretrained = task.weights == "imagenet"
            self.body = timm.create_model(task.backbone, pretrained=pretrained, num_classes=0)
        if task.weights not in ("none", "imagenet"):
            _load_file(self.body, Path(task.weights))
        self.features = int(self.body.num_features)
        facts = self.body.pretrained_cfg
        self.size = (int(facts["input_size"][1]), int(facts["input_size"][2]))
        self.register_buffer("mean", torch.tensor(facts["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(facts["std"]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 1 or 3, height, width) in [-1, 1] to (n, features); resized inside."""
        return self.body(((_resized(images, self.size) + 1) / 2 - self.mean) / self.std).flatten(1)


BACKBONES: dict[str, Callable[[Task], Backbone]] = {
    "compact": Compact,
    "residual": Residual,
    "pixels": Pixels,
    "alexnet": Torchvision,
    "vgg16": Torchvision,
    "resnet18": Torchvision,
    "resnet34": Torchvision,
    "resnet50": Torchvision,
}


def build_backbone(task: Task) -> Backbone:
    """The feature network that the task names.

    Raises InputError for an unknown name, or for weights that a backbone without published weights is given.
    """
    check_backbone(task)
    return BACKBONES.get(task.backbone, Timm)(task)


def check_backbone(task: Task) -> None:
    """Raise InputError for an unknown backbone, or for weights that it does not come with."""
    if task.backbone not in BACKBONES:
        names = _transformers() if task.backbone.startswith("vit_") else []
        if task.backbone not in names:
            raise unknown("backbone", task.backbone, [*BACKBONES, *(names or ["vit_base_patch16_224"])])
    elif BACKBONES[task.backbone] is not Torchvision and task.weights != "none":
        raise InputError(f"backbone {task.backbone!r} has no weights {task.weights!r}; allowed: none")


def initialise(module: nn.Module) -> None:
    """He initialisation of every convolution and linear layer, biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _transformers() -> list[str]:
    import timm

    return [str(name) for name in timm.list_models("vit_*")]


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[-2:] != size:
        images = nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return images


@contextlib.contextmanager
def _one_line_errors(task: Task) -> Iterator[None]:
    """Downloading weights can fail in any way; the user gets one line that says what was wanted."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        text = f"backbone {task.backbone!r} with weights {task.weights!r} cannot be built: {reason}"
        raise InputError(text) from error


def _headless(name: str, weights: str | None) -> tuple[nn.Module, int]:
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
            from safetensors.torch import load_file

            state: Mapping[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"weights file {str(path)!r} cannot be read: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"weights file {str(path)!r} holds more than named tensors")
    return state


def _load_file(body: nn.Module, path: Path) -> None:
    """Load a weights file into a headless model."""
    state, wanted = read_weights(path), body.state_dict()
    try:
        body.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"weights file {str(path)!r} does not fit: {reason}") from error
