"""The training loop that gradient-trained methods share: sampling, augmentation, optimiser, resume.

Subclass `StepwiseMethod` and write `build` and `loss` (one network, one loss), or override `step` too (several
networks). Every random draw is a function of (seed, purpose, step), so a resumed fit repeats what an
undisturbed one would have drawn.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts import FitContext, HashData, HashMethod, Params, Task
from benchmark.methods._backbones import Backbone, features_text
from benchmark.methods._batches import Ahead, batch_index
from benchmark.methods._images import augment, on_device, taken, to_float
from benchmark.methods._networks import CalibratedNetwork, HashNetwork
from benchmark.methods._pace import Pace
from benchmark.methods._recipes import SCRATCH, Recipe, make_optimizer, schedule_factor
from benchmark.methods._scalars import DeviceScalars

#: How many training images the fresh hash layer is calibrated on, and to which deviation of its outputs.
CALIBRATION_IMAGES, CALIBRATED_SPREAD = 512, 0.1


class StepwiseParams(Params):
    """Optimisation parameters that every gradient-trained method has.

    Attributes
    ----------
    recipe : str
        `paper` is the method's published optimiser, `scratch` the benchmark's own for untrained backbones, `auto`
        takes the paper's when the backbone has pre-trained weights.
    lr, weight_decay, optimizer : float, float, str, or None
        They override the recipe's; None leaves it.
    warmup_share : float
        The share of the updates over which rates rise linearly to the schedule's, 0 to below 1.
    accumulate : int
        Batches whose mean gradient makes one optimiser step. Epochs stay, so that there are fewer steps.
    clip_norm : float or None
        The largest norm of an optimiser's gradient; None: any.
    early_stopping : int or None
        Training ends after so many evaluations on held-out training images without a better one, and the best model
        is kept (`--selection val`). None: never.
    """

    later = frozenset({"optimizer", "warmup_share", "accumulate", "clip_norm", "early_stopping"})

    search: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (1e-4, 1e-2)}

    recipe: Literal["auto", "paper", "scratch"] = "auto"
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] | None = None
    warmup_share: float = Field(default=0.0, ge=0, lt=1)
    accumulate: int = Field(default=1, ge=1, le=1024)
    clip_norm: float | None = Field(default=None, gt=0)
    early_stopping: int | None = Field(default=None, ge=1)

    def option(self, name: str) -> Any:
        """The value of a parameter that `later` names.

        Parameters
        ----------
        name : str
            One of `later`.

        Returns
        -------
        value
            Its default where the method has a parameter of its own of that name, with another type.
        """
        own, base = type(self).model_fields[name], StepwiseParams.model_fields[name]
        return getattr(self, name) if own.annotation == base.annotation else base.default


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes
    ----------
    images : Tensor
        float32 (b, channels, height, width) in [-1, 1], augmented; or vectors (b, channels).
    labels : float32 (b, classes)
        One-hot or multi-hot.
    index : int64 (b,)
        Rows of the labelled training set, for buffers.
    step : int
        The number of this update, from 0.
    progress : float
        The share of the budget that is spent, in [0, 1).
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    step: int
    progress: float

    @property
    def class_ids(self) -> Tensor:
        """int64 (b,): class indices; meaningful for single-label data only."""
        return self.labels.argmax(dim=1)


class StepwiseMethod(HashMethod):
    """Base of gradient-trained methods.

    Attributes
    ----------
    params : StepwiseParams
        The parameters of the fit.
    paper_recipe : Recipe
        The published optimiser, which the recipe `paper` takes.
    networks : ModuleDict
        Every module that the optimiser must reach, losses with parameters included, under the names that `build`
        gives; `networks["hash"]` is what `encode` runs.
    buffers : dict of Tensor
        Tensors over the whole training set that must survive a resume.
    optimizers : dict of Optimizer
        Those of `build_optimizers`, by name.
    ctx : FitContext
        Of the fit that runs.
    scalars : DeviceScalars
        Loss terms that wait on the device to be logged.
    """

    Params = StepwiseParams
    params: StepwiseParams
    takes_host_images = True
    paper_recipe: ClassVar[Recipe]

    networks: nn.ModuleDict
    buffers: dict[str, Tensor]
    optimizers: dict[str, torch.optim.Optimizer]
    ctx: FitContext
    scalars: DeviceScalars

    # ---- what authors write ------------------------------------------------------------------

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The modules of the method; override for another network or more of them.

        Parameters
        ----------
        task : Task
            Sizes, backbone and bits.

        Returns
        -------
        dict of Module
            By name; `hash` must map images to outputs (n, bits).
        """
        return {"hash": HashNetwork(task)}

    def begin(self, data: HashData) -> None:
        """Set up what the loss needs of the training set: buffers, centres. Networks exist already.

        Parameters
        ----------
        data : HashData
            The training set.
        """

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The named loss terms of a batch; their sum is minimised.

        Parameters
        ----------
        outputs : float32 (b, bits)
            Of the `hash` network.
        batch : Batch
            Images, labels and progress.

        Returns
        -------
        dict of Tensor
            Scalars that already carry their weights.

        Raises
        ------
        TypeError
            The method defines neither `loss` nor `step`.
        """
        raise TypeError(f"{type(self).__name__} must define loss() or step()")

    def step(self, batch: Batch) -> Mapping[str, Tensor | float]:
        """One update. Override when one network and one loss are not enough.

        Parameters
        ----------
        batch : Batch
            Images, labels and progress.

        Returns
        -------
        mapping
            Scalars to log, by name.

        Raises
        ------
        FloatingPointError
            The loss is not finite.
        """
        with self.ctx.autocast():
            outputs = self.networks["hash"](batch.images)
        losses = self.loss(outputs.float(), batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimize("main", total)
        return {"loss": total, **losses}

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimiser over all networks; override for several."""
        return {"main": self.make_optimizer(self.networks)}

    # ---- what the base does ------------------------------------------------------------------

    @property
    def follows_paper(self) -> bool:
        """Whether the paper's own optimiser is in force."""
        pretrained = self.ctx.task.weights != "none"
        return self.params.recipe == "paper" or (self.params.recipe == "auto" and pretrained)

    def recipe(self) -> Recipe:
        """The optimisation recipe in force, with the overrides of the parameters."""
        chosen = self.paper_recipe if self.follows_paper else SCRATCH
        changes = {
            "lr": self.params.lr,
            "weight_decay": self.params.weight_decay,
            "optimizer": self.params.option("optimizer"),
        }
        return chosen.model_copy(update={key: value for key, value in changes.items() if value is not None})

    def make_optimizer(self, module: nn.Module, **changes: Any) -> torch.optim.Optimizer:
        """An optimiser over a module's parameters by the recipe; backbones get their own learning rate.

        Parameters
        ----------
        module : Module
            What it trains.
        **changes
            Fields of the recipe to override, such as `lr`.

        Returns
        -------
        torch.optim.Optimizer
            A new one.
        """
        recipe = self.recipe().model_copy(update=changes)
        inside = {
            id(p) for part in module.modules() if isinstance(part, Backbone) for p in part.trained_before()
        }
        everything = list(module.parameters())
        groups = [
            {"params": [p for p in everything if id(p) not in inside], "lr": recipe.lr},
            {"params": [p for p in everything if id(p) in inside], "lr": recipe.lr * recipe.backbone_factor},
        ]
        return make_optimizer([group for group in groups if group["params"]], recipe)

    def optimize(self, name: str, loss: Tensor) -> None:
        """Backpropagate a loss and step an optimiser.

        Parameters
        ----------
        name : str
            A key of `optimizers`.
        loss : Tensor
            A scalar.

        Raises
        ------
        FloatingPointError
            The loss is NaN or infinite; raised as soon as it is read (`FitContext.reads`).
        """
        self.scalars.check({"loss": loss}, "{names} is not finite at update {step}")
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def fit(self, data: HashData, ctx: FitContext) -> None:
        """Run the shared budget of updates, resuming from a saved state where there is one."""
        self._assemble(ctx)
        self.optimizers = self.build_optimizers()
        self._calibrate(data)
        self.begin(data)
        pace = self._pace(ctx.updates)
        first = self._resume(ctx.restore())
        held = self._held_layers()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.scalars.read_at_the_end())
            if self._fetch_ahead(data):
                self._ahead = Ahead(functools.partial(self._taken, data), ctx.updates)
                stack.callback(self._close_ahead)
            for step in range(first, ctx.updates):
                ctx.begin_step(step)
                self.scalars.begin(step, ctx.reads(step))
                self._schedule(step / ctx.updates)
                self.networks.train()
                for layer in held:
                    layer.eval()
                with pace.update(step):
                    self.scalars.log(self.step(self._batch(data, step)))
                ctx.count(pace.made)
                ctx.evaluate(step + 1)
                if not pace.last:  # gradients that wait are in no checkpoint
                    continue
                ctx.save(step + 1, functools.partial(self._training_state, step + 1))
                if ctx.should_stop():
                    break

    def encode(self, images: Tensor) -> Tensor:
        """Outputs of the hash network in evaluation mode, float32 (n, bits)."""
        self.networks.eval()
        with torch.inference_mode(), self.ctx.autocast():
            return cast(Tensor, self.networks["hash"](self._place(to_float(images)))).float()

    def state(self) -> dict[str, Tensor]:
        """All networks' tensors, on the CPU."""
        return {key: value.detach().cpu().contiguous() for key, value in self.networks.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor], ctx: FitContext) -> None:
        """Build the networks from `ctx.task` and fill them."""
        if not hasattr(self, "networks"):
            self._assemble(ctx)
        self.networks.load_state_dict(dict(state))

    def facts(self) -> dict[str, str | int | float]:
        """Parameter count, backbone and optimiser, for the record."""
        recipe = self.recipe()
        count = sum(p.numel() for p in self.networks["hash"].parameters())
        every = sum(p.numel() for p in self.networks.parameters())
        return {
            "features": features_text(self.ctx.task, "trained"),
            "parameters": count,
            "parameters_in_training": every,
            "optimizer": f"{recipe.optimizer} lr {recipe.lr:g} wd {recipe.weight_decay:g} {recipe.schedule}"
            + self._pace_text(),
        }

    @classmethod
    def stops_after(cls, params: StepwiseParams) -> int | None:
        """As `early_stopping` says."""
        return cast("int | None", params.option("early_stopping"))

    def _pace(self, updates: int) -> Pace:
        option = self.params.option
        return Pace(
            self.optimizers,
            updates,
            warmup=option("warmup_share"),
            accumulate=option("accumulate"),
            clip=option("clip_norm"),
        )

    def _pace_text(self) -> str:
        option = self.params.option
        words = {
            "warm-up over {:g} of the updates": option("warmup_share"),
            "{} batches a step": option("accumulate") if option("accumulate") > 1 else None,
            "gradients clipped at {:g}": option("clip_norm"),
        }
        return "".join(f", {text.format(value)}" for text, value in words.items() if value)

    def _assemble(self, ctx: FitContext) -> None:
        self.ctx = ctx
        # A fixed initialisation per seed, whatever ran before in this process.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(ctx.seed("init"))
            networks = nn.ModuleDict(self.build(ctx.task))
        memory = torch.channels_last if self._channels_last() else torch.contiguous_format
        self.networks = networks.to(ctx.device, memory_format=memory)
        self.buffers = {}
        self.scalars = DeviceScalars(ctx.log)
        self._ahead: Ahead[tuple[Tensor, Tensor]] | None = None

    def _close_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = None

    def _held_layers(self) -> list[nn.Module]:
        """The normalisation layers of a backbone that does not learn: evaluation mode, also while the rest trains.

        Its features are then those that it was trained for, and no running statistic moves. Dropout stays active,
        as in the releases.
        """
        if self.recipe().backbone_factor != 0:
            return []
        bodies = [part for part in self.networks.modules() if isinstance(part, Backbone)]
        return [layer for body in bodies for layer in body.modules() if hasattr(layer, "running_mean")]

    def _calibrate(self, data: HashData) -> None:
        network = self.networks["hash"]
        if isinstance(network, CalibratedNetwork):
            order = torch.randperm(len(data.images), generator=self.ctx.generator("calibrate"))
            images = taken(data.images, order[:CALIBRATION_IMAGES].to(data.images.device), self.ctx.device)
            if len(images) > 1:
                network.calibrate(self._place(to_float(images)), CALIBRATED_SPREAD)

    def _channels_last(self) -> bool:
        return self.ctx.device.type == "cuda" or self.ctx.precision == "bf16"

    def _place(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self._channels_last() else images

    def _batch(self, data: HashData, step: int) -> Batch:
        rows, raw = self._ahead(step) if self._ahead is not None else self._taken(data, step)
        images = self.augmented(data, raw, "augment", step)
        return Batch(images, data.labels[rows].float(), rows, step, step / self.ctx.updates)

    def _taken(self, data: HashData, step: int) -> tuple[Tensor, Tensor]:
        """The rows of a batch and their images, as they are."""
        rows = batch_index(len(data.images), self.ctx.batch_size, step, self.ctx, data.images.device)
        images = taken(data.images, rows, self.ctx.device)
        return on_device(rows, self.ctx.device), images

    def _fetch_ahead(self, data: HashData) -> bool:
        """Whether batches are copied while the update before runs: where images lie elsewhere."""
        return data.images.device != self.ctx.device

    def augmented(self, data: HashData, images: Tensor, purpose: str, step: int) -> Tensor:
        """uint8 images to augmented float input in [-1, 1], drawn for (purpose, step).

        Parameters
        ----------
        data : HashData
            Says how: `crop_padding`, `flip`.
        images : uint8 (b, ...)
            As `data` has them.
        purpose, step
            Name the draw.

        Returns
        -------
        float32 (b, ...)
            On the fit's device.
        """
        generator = self.ctx.generator(purpose, step)
        return self._place(to_float(augment(images, data.crop_padding, data.flip, generator)))

    def _schedule(self, progress: float) -> None:
        recipe = self.recipe()
        factor = schedule_factor(recipe.schedule, progress, recipe.drops, recipe.decay)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor

    def _training_state(self, step: int) -> dict[str, Any]:
        self.scalars.read()  # no state is kept whose losses were not finite
        return {
            "step": step,
            "networks": self.networks.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "buffers": self.buffers,
        }

    def _resume(self, saved: dict[str, Any] | None) -> int:
        if saved is None:
            return 0
        self.networks.load_state_dict(saved["networks"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        self.buffers.update({key: value.to(self.ctx.device) for key, value in saved["buffers"].items()})
        return int(saved["step"])


def parameters_of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The trainable parameters of several modules, in order.

    Parameters
    ----------
    modules : iterable of Module
        They may share parameters.

    Returns
    -------
    list of Parameter
        Those that are trained.
    """
    return [p for module in modules for p in module.parameters() if p.requires_grad]
