"""Where checks get their fits: made once, shared, watched."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.authoring.conformance import data as tiny
from benchmark.contracts import FitContext, HashData, HashMethod
from benchmark.errors import one_line

#: Updates of the fit whose codes are scored, and of those that only have to run.
FULL_UPDATES, FEW_UPDATES, BATCH = 80, 6, 32
BITS, OTHER_BITS = 16, 12


class Broken(Exception):
    """A method did not do what a check needs of it; the text says what was seen."""


@dataclass
class CheckContext(FitContext):
    """A fit's context as the harness gives it: global generators reseeded before every update.

    `at_start` is called before the first update, wherever the method announces it (`begin_step` or `log`).
    """

    reseed: bool = True
    at_start: Callable[[], None] | None = None
    started: bool = field(default=False)

    def begin_step(self, step: int) -> None:
        """Reseed, as the harness does."""
        self._start()
        if self.reseed:
            seed_globals(self.seed("step", step))

    def evaluate(self, step: int) -> None:
        """Nothing is scored on the way."""

    def _start(self) -> None:
        if not self.started and self.at_start is not None:
            self.at_start()
        self.started = True


@dataclass(frozen=True)
class Finding:
    """What a passed check found, and how many things it compared; none means that it ran nothing."""

    found: str
    compared: int = 1


@dataclass(frozen=True)
class Check:
    """A check: its name, what it expects in words, the function, and the check that owns the fit it needs."""

    name: str
    expected: str
    run: Callable[[Lab], Finding]
    needs: str = ""


def seed_globals(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@dataclass
class Lab:
    """Fits of one method on the tiny data."""

    cls: type[HashMethod]
    preset: dict[str, Any]

    def fresh(self) -> HashMethod:
        """A new instance with the preset parameters."""
        return self.cls(self.cls.Params.model_validate(self.preset))

    def context(self, data: HashData, updates: int, **changes: Any) -> CheckContext:
        """A context on the CPU with seed 0."""
        return CheckContext(
            task=data.task,
            device=torch.device("cpu"),
            epochs=max(1, updates * BATCH // max(1, len(data.images))),
            batch_size=BATCH,
            updates=updates,
            **changes,
        )

    def fit(self, data: HashData, updates: int, **changes: Any) -> HashMethod:
        """Train as the harness would: global generators seeded, then `fit`. Raises Broken with the reason."""
        method, data = self.fresh(), self.taken(data)
        context = self.context(data, updates, **changes)
        try:
            if context.reseed:
                seed_globals(context.seed("fit"))
            method.fit(data, context)
        except Exception as error:  # whatever went wrong is the finding
            raise Broken(f"fit raised {one_line(error)}") from error
        return method

    def training_data(self, bits: int) -> HashData:
        """Labels of the first declared kind."""
        return self.taken(tiny.single(bits) if "single" in self.cls.info.labels else tiny.multi(bits))

    def taken(self, data: HashData) -> HashData:
        """The data as they are, or as vectors for a method that takes vectors alone."""
        vectors = tiny.as_vectors(data)
        alone = self.cls.supports(data.task) is not None and self.cls.supports(vectors.task) is None
        return vectors if alone else data

    @functools.cached_property
    def test_images(self) -> Tensor:
        """The test images in the form that the method takes."""
        data = self.taken(replace(tiny.single(BITS), images=tiny.tiny_set().test_images))
        return data.images

    @functools.cached_property
    def trained(self) -> HashMethod:
        """The fit with the full budget at `BITS` bits."""
        return self.fit(self.training_data(BITS), FULL_UPDATES)

    @functools.cached_property
    def shorter(self) -> HashMethod:
        """A short fit at `OTHER_BITS` bits, no power of two."""
        return self.fit(self.training_data(OTHER_BITS), FEW_UPDATES)

    @functools.cached_property
    def outputs(self) -> Tensor:
        """What the trained method gives for all test images, in one call."""
        return self.encode(self.trained, self.test_images)

    def encode(self, method: HashMethod, images: Tensor) -> Tensor:
        """Encode with global generators seeded, so that a method that draws from them is no surprise here."""
        seed_globals(0)
        try:
            return method.encode(images.clone()).detach()
        except Exception as error:  # whatever went wrong is the finding
            raise Broken(f"encode raised {one_line(error)}") from error


def signs(outputs: Tensor) -> Tensor:
    """Codes +-1 as float64; zero counts as +1, like everywhere in the harness."""
    return torch.where(outputs.double() >= 0, 1.0, -1.0).double()


def agree(left: Tensor, right: Tensor) -> str:
    """Empty when two outputs are equal up to rounding, else how they differ."""
    if left.shape != right.shape:
        return f"shapes {tuple(left.shape)} and {tuple(right.shape)}"
    if torch.allclose(left.double(), right.double(), rtol=1e-3, atol=1e-4, equal_nan=True):
        return ""
    share = float((signs(left) != signs(right)).double().mean())
    gap = float((left.double() - right.double()).abs().max())
    return f"outputs up to {gap:.3g} apart, {share:.1%} of bits differ"


def trainable(root: object) -> dict[str, nn.Parameter]:
    """Every parameter with requires_grad that can be reached from an object's attributes, by path."""
    return {path: value for path, value in _walk(root, "", set(), 0) if value.requires_grad}


def _walk(value: object, path: str, seen: set[int], depth: int) -> Iterator[tuple[str, nn.Parameter]]:
    if id(value) in seen or depth > 4:
        return
    seen.add(id(value))
    if isinstance(value, nn.Parameter):
        yield path, value
    elif isinstance(value, nn.Module):
        for name, parameter in value.named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}", parameter
        for name, child in vars(value).items():  # modules hidden in plain attributes
            if not name.startswith("_"):
                yield from _walk(child, f"{path}.{name}", seen, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{path}[{key!r}]", seen, depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _walk(item, f"{path}[{number}]", seen, depth + 1)
    elif isinstance(value, HashMethod):
        for name, item in vars(value).items():
            yield from _walk(item, f"{path}.{name}".lstrip("."), seen, depth + 1)
