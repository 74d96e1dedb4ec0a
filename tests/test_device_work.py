"""What an update asks of its device: where its noise is drawn, what is copied, what is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark import registry
from benchmark.contracts import FitContext, HashData, Task

#: An update draws no more numbers than these on the CPU: shifts and mirrors of a batch, its order, its labels.
FEW = 4096


def task() -> Task:
    return Task(classes=4, bits=16, channels=3, height=16, width=16, multi_label=False, backbone="compact")


def training_set(n: int = 96) -> HashData:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 16, 16), generator=draw, dtype=torch.uint8)
    labels = torch.nn.functional.one_hot(torch.arange(n) % 4, 4).to(torch.uint8)
    return HashData(task(), images, labels, images[: n // 2], crop_padding=2, flip=True)


@dataclass
class Watched(FitContext):
    """Keeps the seeds of the generators that draw on the device."""

    on_device: set[int] = field(default_factory=set)

    def device_generator(self, purpose: str, *parts: int) -> torch.Generator:
        self.on_device.add(self.seed(purpose, *parts))
        return super().device_generator(purpose, *parts)


class Draws(TorchDispatchMode):
    """Every draw: how many numbers, and its generator's seed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("randn", "rand", "randint", "normal_", "uniform_"):
            used = (kwargs or {}).get("generator") or torch.default_generator
            self.seen.append((out.numel(), used.initial_seed()))
        return out


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("coophash", {}),
        ("hashgan", {"unlabelled": "use"}),
        ("hswd", {"distance": "swd"}),
        ("jmlh", {}),
        ("cibhash", {}),
    ],
)
def test_noise_is_drawn_on_the_device_from_a_named_seed(method: str, params: dict[str, Any]) -> None:
    cls = registry.method_class(method)
    trained = cls(cls.Params.model_validate(params))
    ctx = Watched(task(), torch.device("cpu"), batch_size=32, updates=4)
    step, draws = trained.step, Draws()

    def watched(batch: Any) -> Any:
        with draws:
            return step(batch)

    trained.step = watched
    trained.fit(training_set(), ctx)
    on_device = [count for count, seed in draws.seen if seed in ctx.on_device]
    elsewhere = [count for count, seed in draws.seen if seed not in ctx.on_device]
    assert on_device, "its noise is drawn on the device"
    assert max(elsewhere, default=0) <= FEW
    assert max(on_device) >= 32 * 16


def test_on_the_cpu_both_generators_draw_the_same() -> None:
    ctx = FitContext(task(), torch.device("cpu"))
    one, other = ctx.generator("noise", 3), ctx.device_generator("noise", 3)
    assert torch.equal(torch.randn(50, generator=one), torch.randn(50, generator=other))
    assert not torch.equal(torch.randn(50, generator=one), torch.randn(50, generator=ctx.generator("other")))
