"""What the harness hands to a method that trains: the data, and its own side of the fit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.contracts.task import Task
from benchmark.errors import InputError
from benchmark.spec import seed_stream

if TYPE_CHECKING:  # torch takes seconds to import; listing plug-ins must not pay for it
    import torch


@dataclass(frozen=True)
class HashData:
    """What a method trains on.

    Attributes
    ----------
    task : Task
        The static facts of the fit.
    images : Tensor
        The labelled training images, uint8 (n, channels, height, width), on the fit's device; float32 (n, channels)
        where the task's inputs are vectors. They lie in host memory only where they do not fit the device and the
        method says that it takes them so (`takes_host_images`).
    labels : uint8 (n, classes)
        One-hot or multi-hot; a row belongs to the image of the same index.
    unlabelled : Tensor
        Training images whose labels are hidden, (m, ...) in the form of `images`; m may be 0.
    crop_padding, flip : int (pixels), bool
        The augmentation that all methods share.
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

    Attributes
    ----------
    task : Task
        The static facts of the fit.
    device : torch.device
        Where networks and images live.
    epochs, batch_size : int
        Passes over the training images, and images of an update.
    updates : int
        Gradient steps, the same for every method: epochs x (training images // batch size), where images with a
        hidden label count, so that fewer labels never means fewer steps.
    precision : str
        `fp32`, or `bf16` for mixed precision (see `autocast`).
    root_seed : int
        Of the whole fit; draw from `seed` and `generator` instead.
    workdir : Path or None
        Where the harness keeps checkpoints and samples.
    scalars : list of (int, dict)
        What `log` was given: the step, and the values by name.
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
        """Whether to read the scalars of update `step` from the device now, which waits for the device.

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
        """Tell the harness how many optimiser steps were made so far, where an update is not always one step.

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
