"""`check` kills a fit in the middle and resumes it: what a checkpoint does not hold is named."""

from __future__ import annotations

import copy
import itertools
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.authoring.conformance import CHECKS, check_method
from benchmark.contracts import HashMethod
from tests.authoring.test_conformance import Banked, Fine, Stepwise, info

RESUME = [check for check in CHECKS if check.name == "resume"]


def _line(cls: type[HashMethod]) -> str:
    (result,) = check_method(cls, checks=RESUME)
    return result.line()


class Counting(Stepwise):
    """A number of its own, which rises with every update, weighs its loss."""

    def begin(self, data: Any) -> None:
        self.seen = 0

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        self.seen += 1
        return {**super().loss(outputs, batch), "growing": 0.1 * self.seen * outputs.square().mean()}


class Quiet(Stepwise):
    """It counts, without any effect in so few updates."""

    def begin(self, data: Any) -> None:
        self.ticks = itertools.count()

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        next(self.ticks)
        return super().loss(outputs, batch)


class Centred(Stepwise):
    """It moves a list of centres."""

    def begin(self, data: Any) -> None:
        self.centres = [torch.zeros(data.task.bits) for _ in range(data.task.classes)]

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        for number in range(len(self.centres)):
            mine = outputs.detach()[batch.class_ids == number]
            self.centres[number] = 0.9 * self.centres[number] + 0.1 * mine.sum(dim=0)
        pull = (outputs - torch.stack(self.centres)[batch.class_ids]).square().mean()
        return {**super().loss(outputs, batch), "pull": pull}


class Noisy(Stepwise):
    """It draws from a generator of NumPy that it made at the start."""

    def begin(self, data: Any) -> None:
        self.rng = np.random.default_rng(0)

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        noise = torch.from_numpy(self.rng.normal(size=tuple(outputs.shape))).float()
        return super().loss(outputs + 0.1 * noise, batch)


class SecondOptimiser(Stepwise):
    """An optimiser beside the declared ones trains its classifier."""

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        self.extra = torch.optim.Adam(self.networks["classifier"].parameters(), 1e-2)
        return {"main": self.make_optimizer(self.networks["hash"])}

    def step(self, batch: Any) -> Any:
        found = super().step(batch)
        self.extra.step()
        self.extra.zero_grad()
        return found


class Averaged(Stepwise):
    """A moving average of its network, kept aside, is what it encodes with."""

    def begin(self, data: Any) -> None:
        self.average = copy.deepcopy(self.networks["hash"]).requires_grad_(False)

    def step(self, batch: Any) -> Any:
        found = super().step(batch)
        for mean, now in zip(self.average.parameters(), self.networks["hash"].parameters(), strict=True):
            mean.lerp_(now.detach(), 0.1)
        return found

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        kept, self.networks["hash"] = self.networks["hash"], self.average
        try:
            return super().encode(images)
        finally:
            self.networks["hash"] = kept


class Cursor(nn.Module):
    """A module with a buffer that its state leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()), persistent=False)


class Unregistered(Stepwise):
    """A buffer of its network is not part of the network's state."""

    def build(self, task: Any) -> dict[str, nn.Module]:
        return super().build(task) | {"cursor": Cursor()}

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        mean = self.networks["cursor"].mean
        mean += 0.1 * outputs.detach().mean()
        return super().loss(outputs + mean, batch)


class OnTheClass(Stepwise):
    """What its class keeps is there for every instance, until the process ends."""

    history: ClassVar[list[float]] = []

    def begin(self, data: Any) -> None:
        if self.ctx.restore() is None:
            self.history.clear()

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        self.history.append(float(outputs.detach().mean()))
        return super().loss(outputs + sum(self.history), batch)


class Unreadable(Stepwise):
    """Its checkpoint holds an array, which is not read back: such a fit starts again."""

    def _training_state(self, step: int) -> dict[str, Any]:
        return {**super()._training_state(step), "array": np.zeros(3)}


class Unseeded(Fine):
    """A loop of its own that draws from the global generator and does not announce its updates."""

    info = info(trained_by="updates")

    def fit(self, data: Any, ctx: Any) -> None:
        saved = ctx.restore()
        if saved is None:
            super().fit(data, ctx)
        else:
            self.weights, self.mean = saved["weights"], saved["mean"]
        for step in range(saved["step"] if saved else 0, ctx.updates):
            self.weights = self.weights + 1e-2 * torch.randn(self.weights.shape)
            ctx.save(step + 1, lambda step=step: {**self.state(), "step": step + 1})


@pytest.mark.parametrize(
    ("cls", "named"),
    [
        (Banked, "bank (Tensor)"),
        (Counting, "seen (int)"),
        (Quiet, "ticks (count); the codes are still equal here"),
        (Centred, "centres (list)"),
        (Noisy, "rng (Generator)"),
        (SecondOptimiser, "extra (Adam)"),
        (Averaged, "average."),
        (Unregistered, "networks.cursor.mean"),
        (OnTheClass, "OnTheClass.history"),
        (Unseeded, "the global generators (ctx.begin_step is not called)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_resume_loses_is_named(cls: type[HashMethod], named: str) -> None:
    line = _line(cls)
    assert line.startswith("FAIL")
    assert f"state lost at resume: {named}" in line
    assert "\n" not in line


def test_a_state_that_is_not_read_back_is_named() -> None:
    assert "training state cannot be read again" in _line(Unreadable)


class Kept(Stepwise):
    """Its bank lies where checkpoints find it."""

    def begin(self, data: Any) -> None:
        self.buffers["bank"] = torch.zeros(len(data.images), data.task.bits)

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        self.buffers["bank"][batch.index] = outputs.detach()
        pull = (outputs - self.buffers["bank"].mean(dim=0)).square().mean()
        return {**super().loss(outputs, batch), "pull": pull}


class Cached(Stepwise):
    """It keeps what it can compute again, and looks at the clock."""

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        import time

        if not hasattr(self, "table"):
            self.table = torch.eye(batch.labels.shape[1])
        self.at = time.perf_counter_ns()
        return super().loss(outputs, batch)


class Seeded(Unseeded):
    """The same loop, which announces its updates."""

    def fit(self, data: Any, ctx: Any) -> None:
        saved = ctx.restore()
        if saved is None:
            Fine.fit(self, data, ctx)
        else:
            self.weights, self.mean = saved["weights"], saved["mean"]
        for step in range(saved["step"] if saved else 0, ctx.updates):
            ctx.begin_step(step)
            self.weights = self.weights + 1e-2 * torch.randn(self.weights.shape)
            ctx.save(step + 1, lambda step=step: {**self.state(), "step": step + 1})


@pytest.mark.parametrize("cls", [Stepwise, Kept, Cached, Seeded], ids=lambda cls: cls.__name__)
def test_what_survives_passes(cls: type[HashMethod]) -> None:
    line = _line(cls)
    assert line.startswith("pass"), line
    assert "killed after 3 of 6 updates" in line


def test_what_has_no_training_state_says_so() -> None:
    assert "closed-form: nothing to resume" in _line(Fine)
