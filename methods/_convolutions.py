"""Feature networks trained from nothing: `compact` for 8-32 px, `residual` for 32-64 px, and none at all."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.contracts import Task

#: Slope of the leaky rectifiers, as in the cooperative-learning literature.
SLOPE = 0.2


class Backbone(nn.Module):
    """Maps float images in [-1, 1] (n, channels, height, width) to features (n, `features`)."""

    features: int

    def trained_before(self) -> list[nn.Parameter]:
        """The parameters that get the backbone's own learning rate."""
        return list(self.parameters())


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
    """No network: the flattened image, or a vector as it is. Lets a loss be studied on a linear model."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.features = task.channels * task.height * task.width

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to (n, channels * height * width); vectors (n, d) as they are."""
        return images.flatten(1)


def initialise(module: nn.Module) -> None:
    """He initialisation of every convolution and linear layer, biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
