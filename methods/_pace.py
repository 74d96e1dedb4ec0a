"""Around a method's optimisers, whatever its `step` does with them: warm-up, accumulated gradients, clipping."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn, optim

from benchmark.errors import InputError


class Pace:
    """Makes optimisers step at the pace that the parameters ask for; with their defaults it touches nothing.

    updates: batches in all. warmup: the share of them over which rates rise linearly from 0 (not reached) to the
    schedule's. accumulate: batches whose mean gradient makes one step; what is left over at the end makes one too.
    clip: the norm to which the gradient of an optimiser is scaled down before its step.
    """

    def __init__(
        self,
        optimizers: Mapping[str, optim.Optimizer],
        updates: int,
        *,
        warmup: float = 0.0,
        accumulate: int = 1,
        clip: float | None = None,
    ) -> None:
        self._groups = [group for optimizer in optimizers.values() for group in optimizer.param_groups]
        self._updates, self._every, self._warm = updates, accumulate, warmup * updates
        self._step = 0
        for name, optimizer in optimizers.items():
            if accumulate > 1:
                _Gathered(name, optimizer, self)
            if clip is not None:
                optimizer.register_step_pre_hook(_Clipped(clip))

    @contextlib.contextmanager
    def update(self, step: int) -> Iterator[None]:
        """What the method does inside belongs to the batch `step`, counted from 0."""
        self._step = step
        factor = min(1.0, (step + 1) / self._warm) if self._warm else 1.0
        rates = [group["lr"] for group in self._groups] if factor < 1 else []
        for group, rate in zip(self._groups, rates, strict=False):
            group["lr"] = rate * factor
        try:
            yield
        finally:
            for group, rate in zip(self._groups, rates, strict=False):
                group["lr"] = rate

    @property
    def last(self) -> bool:
        """Whether the batch is the last of those that make a step together: no gradient waits after it."""
        return (self._step + 1) % self._every == 0 or self._step + 1 == self._updates

    @property
    def step(self) -> int:
        """The batch, from 0."""
        return self._step

    @property
    def made(self) -> int:
        """Optimiser steps made once the batch is done."""
        return self._step // self._every + int(self.last)


class _Gathered:
    """Lets an optimiser step with the mean gradient of several batches, and forget gradients only before these."""

    def __init__(self, name: str, optimizer: optim.Optimizer, pace: Pace) -> None:
        self._name, self._pace, self._optimizer = name, pace, optimizer
        self._step, self._zero = optimizer.step, optimizer.zero_grad
        self._count, self._at = 0, -1
        optimizer.step, optimizer.zero_grad = self.step, self.zero_grad  # type: ignore[method-assign]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients where none waits, whether the method asks for it before or after its step."""
        if not self._count:
            self._zero(set_to_none)

    def step(self, closure: Any = None) -> None:
        """Count the batch in; after the last one, step. Raises InputError for a second step in one update."""
        if closure is not None or self._at == self._pace.step:
            raise InputError(
                f"accumulate: the method steps its optimiser {self._name!r} more than once an update, so that "
                "batches cannot be put together; leave accumulate at 1"
            )
        self._at, self._count = self._pace.step, self._count + 1
        if self._pace.last:
            for group in self._optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.div_(self._count)
            self._step()
            self._count = 0


class _Clipped:
    """Scales the gradient of an optimiser down to a norm."""

    def __init__(self, norm: float) -> None:
        self._norm = norm

    def __call__(self, optimizer: optim.Optimizer, *_: Any) -> None:
        every = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(every, self._norm)
