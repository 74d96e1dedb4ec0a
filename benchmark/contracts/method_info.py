"""What a method declares: its facts, its typed hyper-parameters and its variants."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.spec import NAME_PATTERN, Value

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
