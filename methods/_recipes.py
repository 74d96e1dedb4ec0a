"""How networks are optimised: a paper's own recipe, or the benchmark's for training from nothing."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from benchmark.spec import Value


class Recipe(Value):
    """How a network is optimised. `backbone_factor` scales the learning rate of the backbone's parameters.

    `schedule` `steps` multiplies the rate by `decay` at `drops` equal marks of the budget.
    """

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    backbone_factor: float = Field(default=1.0, ge=0)
    schedule: Literal["constant", "cosine", "halve-in-five", "steps"] = "constant"
    drops: float = Field(default=5.0, gt=0)
    decay: float = Field(default=0.5, gt=0, le=1)


#: For networks trained from nothing: papers tune only the fine-tuning of ImageNet weights.
SCRATCH = Recipe(optimizer="adam", lr=1e-3, schedule="cosine")


def schedule_factor(schedule: str, progress: float, drops: float = 5.0, decay: float = 0.5) -> float:
    """The learning-rate factor at `progress` in [0, 1): 1 at the start."""
    if schedule == "cosine":
        return 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * progress))))
    if schedule == "halve-in-five":
        return 0.5 ** int(5 * progress)
    if schedule == "steps":
        return float(decay ** int(drops * progress))
    return 1.0


def make_optimizer(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over parameter groups that carry their own learning rates."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
        )
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, weight_decay=recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, recipe.lr, weight_decay=recipe.weight_decay)
