"""Short-run Langevin dynamics on images, started from the generator's output.

Stated by the paper's summary: MCMC, with the generator as its fast initialiser. Reconstructed from the
cooperative-learning literature: the update itself and each of its settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Maps images (n, channels, height, width) to f(x, c), shape (n,), one value for each image.
LogDensity = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LangevinSettings:
    """How a chain moves.

    steps: T, the number of updates. step: delta^2 / 2, the factor on the gradient. noise: standard deviation
    of the noise added at each update; None couples it to the step (delta), which makes the chain exact as
    the step shrinks. clip: bound on each pixel's gradient, None for none. decay: factor on step and noise
    from one update to the next. reference_std: s of the Gaussian reference N(0, s^2), None for a flat one.
    clamp: keep pixels in [-1, 1].
    """

    steps: int
    step: float
    noise: float | None = None
    clip: float | None = None
    decay: float = 1.0
    reference_std: float | None = None
    clamp: bool = True


@dataclass(frozen=True)
class Chain:
    """The end of a batch of chains, and what they did.

    images: (n, channels, height, width), without a graph. distance: mean absolute change of a pixel from
    start to end. gradient_norm: mean Euclidean norm of an image's gradient before clipping, over images and
    updates. before, after: f at the start and at the end, (n,); `after` is None unless asked for.
    """

    images: Tensor
    distance: Tensor
    gradient_norm: Tensor
    before: Tensor | None
    after: Tensor | None = None


def langevin(
    start: Tensor,
    log_density: LogDensity,
    settings: LangevinSettings,
    generator: torch.Generator | None = None,
    measure_end: bool = False,
) -> Chain:
    """Run x <- x + step * grad[f(x) - |x|^2 / (2 s^2)] + noise * eps from `start`.

    The gradient is taken with respect to the images alone: no parameter receives one, `start` keeps its
    graph to itself, and none leads out. `generator` (on the images' device) draws the noise;
    `measure_end` pays for one more evaluation of f.
    """
    images = start.detach()
    before: Tensor | None = None
    norms = []
    for index in range(settings.steps):
        value, gradient = _ascent(images, log_density)
        before = value if before is None else before
        norms.append(gradient.flatten(1).norm(dim=1).mean())
        images = _move(images, gradient, settings, settings.decay**index, generator)
    after = _evaluate(images, log_density) if measure_end else None
    norm = torch.stack(norms).mean() if norms else images.new_zeros(())
    return Chain(images, (images - start.detach()).abs().mean(), norm, before, after)


def _ascent(images: Tensor, log_density: LogDensity) -> tuple[Tensor, Tensor]:
    """f (n,) and its gradient with respect to the images."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        value = log_density(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


@torch.no_grad()
def _evaluate(images: Tensor, log_density: LogDensity) -> Tensor:
    return log_density(images)


@torch.no_grad()
def _move(
    images: Tensor,
    gradient: Tensor,
    settings: LangevinSettings,
    factor: float,
    generator: torch.Generator | None,
) -> Tensor:
    if settings.reference_std is not None:
        gradient = gradient - images / settings.reference_std**2
    if settings.clip is not None:
        gradient = gradient.clamp(-settings.clip, settings.clip)
    images = images + settings.step * factor * gradient
    # delta scales with the square root of delta^2 / 2, so an exact chain stays exact under decay.
    noise = (2 * settings.step * factor) ** 0.5 if settings.noise is None else settings.noise * factor
    if noise > 0:
        eps = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        images = images + noise * eps
    return images.clamp(-1, 1) if settings.clamp else images


@contextlib.contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """A module and its parts are in evaluation mode inside the block: no dropout, no batch statistics."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Parameters of these modules ask for no gradient inside the block; graphs built there skip them."""
    held = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)
