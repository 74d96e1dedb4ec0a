"""What authors of methods and data sets see, and all that they need to see.

A method is a class with `info`, `Params` and five verbs (`supports`, `fit`, `encode`, `state`, `load_state`).
It returns real-valued outputs; the harness takes signs, ranks, and computes every metric. A method never
sees query or database images, and hidden labels are not in what it is handed.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.contracts.dataset import (
    Task,
)
from benchmark.errors import InputError
from benchmark.spec import NAME_PATTERN, Value, seed_stream

if TYPE_CHECKING:  # torch takes seconds to import; listing plug-ins must not pay for it
    import torch


Supervision = Literal["unsupervised", "pointwise", "pairwise", "triplet", "listwise", "generative"]
LabelKind = Literal["single", "multi"]

#: `classification` offers `class_logits`, `generation` offers `sample`, which `revision` then revises, `density`
#: offers `log_density`.
Ability = Literal["hashing", "classification", "generation", "revision", "density"]


#: How a report draws a method: colour (Okabe and Ito's palette), marker and line, by matplotlib's names.
Look = tuple[
    Literal["vermillion", "blue", "green", "purple", "sky blue", "orange", "black"],
    Literal["o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "p"],
    Literal[
        "solid",
        "dashed",
        "dashdot",
        "dotted",
        "densely dashed",
        "densely dotted",
        "densely dashdotted",
        "dashdotdotted",
    ],
]


class Params(Value):
    """Base of a method's typed hyper-parameters. Defaults are the paper's; unknown keys are refused.

    `search` declares what `tune` searches: parameter name to (low, high), on a log scale. `later` names fields of
    the class that says it which came after fits were recorded: at their default they are no part of a fit's
    identity, which so stays what it was.
    """

    search: ClassVar[Mapping[str, tuple[float, float]]] = {}
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_recorded(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = plain(self)
        for name in _later(type(self)):
            if getattr(self, name) == type(self).model_fields[name].default:
                told.pop(name, None)
        return told


@functools.cache
def _later(cls: type[Params]) -> tuple[str, ...]:
    """What `later` holds of fields that the same class declares; a subclass with one of its own keeps that."""
    owner = {name: one for one in reversed(cls.__mro__) for name in inspect.get_annotations(one)}
    return tuple(name for one in cls.__mro__ for name in vars(one).get("later", ()) if owner.get(name) is one)


class Variant(Value):
    """A declared variant of a method: another name for the same class with some parameters preset.

    title: for tables. params: the preset parameters by name. note: what a reader of its numbers should know.
    look: how reports draw it; left out, they draw it by its name.
    """

    name: str = Field(pattern=NAME_PATTERN)
    title: str
    params: dict[str, Any]
    note: str = ""
    look: Look | None = None


class MethodInfo(Value):
    """Facts about a method that tables, skips and checks read.

    `version` is raised whenever the same parameters would give other codes. `trained_by` is `updates` for
    gradient training under the shared budget, `closed-form` for methods without one (their identity then
    leaves epochs and batch size out). `known_failures` maps a conformance check to the reason it fails.
    `look` is how reports draw the method, such as `("blue", "s", "dashed")`; left out, they draw it by its name.
    """

    name: str = Field(pattern=NAME_PATTERN)
    title: str = Field(min_length=1)
    paper: str = Field(min_length=1)
    year: int = Field(ge=1950, le=2100)
    venue: str = Field(min_length=1)
    version: int = Field(ge=1)
    labels: tuple[LabelKind, ...] = Field(min_length=1)
    supervision: Supervision
    trained_by: Literal["updates", "closed-form"] = "updates"
    known_failures: dict[str, str] = Field(default_factory=dict)
    notes: str = ""
    look: Look | None = None


@dataclass(frozen=True)
class HashData:
    """What a method trains on.

    images: uint8 (n, channels, height, width), the labelled training images, on the fit's device; float32
    (n, channels) where the task's inputs are vectors. In host memory only where they do not fit the device and the
    method says that it takes them so (`takes_host_images`); the same holds for `unlabelled`.
    labels: uint8 (n, classes), one-hot or multi-hot; every row belongs to the image of the same index.
    unlabelled: training images whose labels are hidden, (m, ...) in the same form (m may be 0).
    crop_padding, flip: the augmentation that all methods share.
    """

    task: Task
    images: torch.Tensor
    labels: torch.Tensor
    unlabelled: torch.Tensor
    crop_padding: int = 0
    flip: bool = False

    @property
    def class_ids(self) -> torch.Tensor:
        """int64 (n,): the class index of each image. Raises InputError for multi-label data."""
        if self.task.multi_label:
            raise InputError("class indices do not exist for multi-label data; use labels")
        return self.labels.argmax(dim=1)


@dataclass
class FitContext:
    """The harness's side of a fit: budget, device, randomness, logging, evaluation, checkpoints.

    The base class is usable as it is (in a notebook or a test): it logs nothing and never stops early.
    `updates` is the number of gradient steps every method gets: epochs x (training images // batch size),
    where hidden-label images count, so that fewer labels never means fewer steps.

    device: where networks and images live. root_seed: of the whole fit; draw from `seed` and `generator`.
    workdir: where the harness keeps checkpoints and samples, or None.
    scalars: what `log` was given, (step, values by name).
    """

    task: Task
    device: torch.device
    epochs: int = 1
    batch_size: int = 64
    updates: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    root_seed: int = 0
    workdir: Path | None = None
    scalars: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def seed(self, purpose: str, *parts: int) -> int:
        """A seed for one purpose; equal arguments give equal seeds, on any machine.

        Parameters
        ----------
        purpose : str
            What is drawn, such as `noise`.
        *parts : int
            Step, epoch and the like.

        Returns
        -------
        int
            63 bits.
        """
        return seed_stream("fit", self.root_seed, purpose, *parts)

    def generator(self, purpose: str, *parts: int) -> torch.Generator:
        """A CPU generator seeded for one purpose. Draw little on the CPU and move it: devices then agree.

        Parameters
        ----------
        purpose, *parts
            As in `seed`.

        Returns
        -------
        torch.Generator
            A new one.
        """
        import torch

        return torch.Generator().manual_seed(self.seed(purpose, *parts))

    def device_generator(self, purpose: str, *parts: int) -> torch.Generator:
        """As `generator`, on the fit's device: for noise as large as images, whose copy costs more than its
        use.

        On the CPU both draw the same numbers; kinds of device differ.

        Parameters
        ----------
        purpose, *parts
            As in `seed`.

        Returns
        -------
        torch.Generator
            A new one.
        """
        import torch

        return torch.Generator(self.device).manual_seed(self.seed(purpose, *parts))

    def begin_step(self, step: int) -> None:
        """Reseed the global generators, so that a resumed fit draws what it would have.

        Parameters
        ----------
        step : int
            Updates made so far.
        """

    def reads(self, step: int) -> bool:
        """Whether to read what update `step` leaves on the device at once; reading waits for the device.

        Otherwise scalars may be kept there and read, checked and logged in order at the next update that asks.

        Parameters
        ----------
        step : int
            The number of the update.

        Returns
        -------
        bool
            True: read, check and log now.
        """
        return True

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Record the scalars of one update.

        Parameters
        ----------
        step : int
            Updates made so far.
        scalars : mapping
            Name to finite number.
        """
        self.scalars.append((step, dict(scalars)))

    def evaluate(self, step: int) -> None:
        """Offer the current model for scoring; the harness decides whether it is due.

        Parameters
        ----------
        step : int
            Updates made so far.
        """

    def should_stop(self) -> bool:
        """Whether the harness asks the fit to end early."""
        return False

    def count(self, made: int) -> None:
        """Tell how many optimiser steps were made so far, where that may not be one an update.

        Parameters
        ----------
        made : int
            Steps since the fit began, those before a resume included.
        """

    def save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Offer a resumable training state.

        Parameters
        ----------
        step : int
            Updates made so far.
        state : callable
            Gives the state; called only when one is due.
        """

    def restore(self) -> dict[str, Any] | None:
        """The newest training state of this very fit, or None; holds `step`, the updates already made."""
        return None

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision as the job asks for it: bf16 autocast, or nothing."""
        import torch

        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()


class HashMethod(ABC):
    """Base of every hashing method. Subclass it in `methods/<name>.py` or in an installed package."""

    info: ClassVar[MethodInfo]
    Params: ClassVar[type[Params]] = Params
    variants: ClassVar[tuple[Variant, ...]] = ()
    #: Whether `fit` moves images to the device itself, batch by batch, where all of them together do not fit.
    takes_host_images: ClassVar[bool] = False

    def __init__(self, params: Any = None) -> None:
        """`params`: an instance of this class's `Params`; None takes the defaults."""
        self.params = params if params is not None else self.Params()

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Whether this method can run a task.

        Parameters
        ----------
        task : Task
            The static facts of the fit.

        Returns
        -------
        str or None
            Why not, and the fit is skipped with that reason; None when it can.
        """
        return None

    @abstractmethod
    def fit(self, data: HashData, ctx: FitContext) -> None:
        """Learn from training images within the budget.

        Parameters
        ----------
        data : HashData
            Images and labels.
        ctx : FitContext
            Budget, device, randomness, logging.
        """

    @abstractmethod
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map images to outputs whose sign is the code.

        Must not depend on the other images of the batch, on their order, or on any random state.

        Parameters
        ----------
        images : uint8 (n, channels, height, width)
            Or float32 (n, channels) where the task's inputs are vectors.

        Returns
        -------
        float32 (n, bits)
            Finite outputs.
        """

    @abstractmethod
    def state(self) -> dict[str, torch.Tensor]:
        """Everything that `encode` needs, as plain tensors by name."""

    @abstractmethod
    def load_state(self, state: Mapping[str, torch.Tensor], ctx: FitContext) -> None:
        """Make a fresh instance encode as the one that gave the state (networks are built from `ctx.task`).

        Parameters
        ----------
        state : mapping of Tensor
            What `state` gave.
        ctx : FitContext
            Task and device.
        """

    @classmethod
    def stops_after(cls, params: Any) -> int | None:
        """How long early stopping waits.

        Parameters
        ----------
        params : Params
            Of the fit.

        Returns
        -------
        int or None
            After so many evaluations on held-out training images without a better one the harness ends the fit
            (`should_stop`) and keeps the best model. None: never.
        """
        return None

    def facts(self) -> dict[str, str | int | float]:
        """Facts about the fit for the record: which features, how many parameters, which recipe."""
        return {}

    def abilities(self) -> frozenset[Ability]:
        """What this instance is trained for, asked after `fit` built its networks; curves score what there is."""
        return frozenset({"hashing"})

    def class_logits(self, images: torch.Tensor) -> torch.Tensor:
        """float32 logits (n, classes) for uint8 images; multi-label: above 0 is yes. Images do not interact.

        Parameters
        ----------
        images : uint8 (n, channels, height, width)
            Or float32 (n, channels) where the task's inputs are vectors.

        Returns
        -------
        float32 (n, classes)
            One logit a class.
        """
        raise NotImplementedError(f"{type(self).__name__} has no classification head")

    def log_density(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """f(x, c), the log of what p(x given c) is proportional to, float32 (n,). Images do not interact.

        Parameters
        ----------
        images : uint8 (n, channels, height, width)
            As the data set has them.
        labels : (n, classes)
            One label set an image.

        Returns
        -------
        float32 (n,)
            Finite; only differences between images of one label set mean anything.
        """
        raise NotImplementedError(f"{type(self).__name__} has no density")

    def sample(self, labels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Images for labels (n, classes), as generated and as revised: uint8 (n, channels, height, width)
        twice.

        `generator` is a CPU one and the only source of randomness; without `revision` both are equal.

        Parameters
        ----------
        labels : (n, classes)
            What the images should show.
        generator : torch.Generator
            Every draw comes from it.

        Returns
        -------
        (Tensor, Tensor)
            uint8 (n, channels, height, width): as generated, and as revised.
        """
        raise NotImplementedError(f"{type(self).__name__} generates no images")
