"""What a method declares: its facts, its typed hyper-parameters and its variants."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.spec import NAME_PATTERN, Value

#: What a method's loss compares: nothing, single items, pairs, triplets, whole lists; or it trains a generator.
Supervision = Literal["unsupervised", "pointwise", "pairwise", "triplet", "listwise", "generative"]
#: Items with one label each, or with several.
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

    Attributes
    ----------
    search : mapping of str to (float, float)
        What `tune` searches: parameter name to the lowest and the highest value, on a log scale.
    later : frozenset of str
        Parameters of this class that were added after fits had been recorded. At their default they are left out of
        a fit's identity, so that older records keep theirs.
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

    Attributes
    ----------
    name, title : str
        What commands and tables call it.
    params : dict
        The preset parameters, by name.
    note : str
        What a reader of its numbers should know.
    look : Look or None
        How reports draw it; None: by its name.
    """

    name: str = Field(pattern=NAME_PATTERN)
    title: str
    params: dict[str, Any]
    note: str = ""
    look: Look | None = None


class MethodInfo(Value):
    """Facts about a method that tables, skips and checks read.

    Attributes
    ----------
    name, title : str
        What commands and tables call it.
    paper, year, venue : str, int, str
        Where it was published.
    version : int
        From 1; raised whenever the same parameters would give other codes.
    labels : tuple of str
        The kinds of labels that it takes: `single`, `multi`.
    supervision : str
        What its loss compares, or `unsupervised`.
    trained_by : str
        `updates` for gradient training under the shared budget, `closed-form` for methods without one (epochs and
        batch size are then no part of a fit's identity).
    known_failures : dict of str to str
        Conformance check to the reason why the method fails it.
    notes : str
        What else a reader should know.
    look : Look or None
        How reports draw it, such as `("blue", "s", "dashed")`; None: by its name.
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
