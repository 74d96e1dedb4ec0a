"""The base of every method.

A method is a class with `info`, `Params` and five verbs (`supports`, `fit`, `encode`, `state`, `load_state`).
It returns real-valued outputs; the harness takes signs, ranks, and computes every metric. A method never
sees query or database images, and hidden labels are not in what it is handed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.contracts.fit_context import FitContext, HashData
from benchmark.contracts.method_info import Ability, MethodInfo, Params, Variant
from benchmark.contracts.task import Task

if TYPE_CHECKING:  # torch takes seconds to import; listing plug-ins must not pay for it
    import torch


class HashMethod(ABC):
    """Base of every hashing method. Subclass it in `methods/<name>.py` or in an installed package.

    Attributes
    ----------
    info : MethodInfo
        Its facts.
    Params : type
        The class of its hyper-parameters; `params` is the instance of a fit.
    variants : tuple of Variant
        The same class under other names, with parameters preset.
    takes_host_images : bool
        Whether `fit` moves images to the device itself, batch by batch, where all of them together do not fit.
    """

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
        """What this instance can do, asked after `fit` built its networks; training curves score each ability."""
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
