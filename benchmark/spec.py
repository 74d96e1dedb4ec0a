"""What is to be measured: the cells of a sweep, their identity, and the seed streams.

Everything here is a value: frozen, validated, free of paths, devices and clocks. Two machines that
resolve the same sweep get the same `fit_id`s.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchmark.errors import InputError, unknown

#: Raised when the meaning of a fit's identity changes; older records then show as stale.
SCHEMA = 1

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"

Selection = Literal["last", "val", "peek"]
Precision = Literal["auto", "fp32", "bf16"]
Scalar = bool | int | float | str | None
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

#: Backbones keep the names that torchvision and timm give them, such as `vit_base_patch16_224`.
BackboneName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]

M = TypeVar("M", bound=BaseModel)


class Value(BaseModel):
    """Base of the frozen value objects: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class View(Value):
    """One way to evaluate a trained model; `clean` is the plain query/database protocol."""

    name: Name = "clean"


class FitSpec(Value):
    """Everything that decides what a fit learns, and nothing else.

    Paths, devices, executors, trackers and views are left out on purpose: they must not change the number.
    `precision` is what was asked for; `auto` lets the device decide (the record says what it chose).
    `epochs` and `batch_size` are None for methods that are not trained by gradient steps.
    """

    schema_version: int = SCHEMA
    method: Name
    method_version: int = Field(ge=1)
    params: dict[str, Any]
    dataset: Name
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")
    protocol: Name
    protocol_version: int = Field(ge=1)
    backbone: BackboneName
    weights: str
    bits: int = Field(ge=1, le=4096)
    label_fraction: float = Field(gt=0, le=1)
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(ge=0, lt=2**31)
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    selection: Selection = "last"
    precision: Precision = "auto"

    @property
    def fit_id(self) -> str:
        """16 hex digits of the SHA-256 over the canonical JSON of this specification."""
        return digest(self.model_dump(mode="json"))

    @property
    def label(self) -> str:
        """A short name for people: `coophash digits 32b s0`."""
        share = "" if self.label_fraction == 1 else f" {self.label_fraction:g} labels"
        return f"{self.method} {self.dataset} {self.bits}b{share} s{self.seed}"


class Job(Value):
    """One unit of work: a fit and the views to evaluate it under."""

    fit: FitSpec
    views: tuple[View, ...] = (View(),)


class Sweep(Value):
    """The grid that a `run` covers, as flags or a suite file give it."""

    methods: tuple[Name, ...] = ("coophash", "hashnet")
    datasets: tuple[Name, ...] = ("digits",)
    bits: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (16, 32)
    label_fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    protocol: Name = "default"
    backbone: BackboneName = "compact"
    weights: str = "none"
    epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    batch_size: int = Field(default=64, ge=2, le=1_000_000)
    selection: Selection = "last"
    precision: Precision = "auto"
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("methods", "datasets", "bits", "label_fractions", "seeds")
    @classmethod
    def _not_empty_no_repeats(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one")
        return tuple(dict.fromkeys(value))

    def cells(self) -> Iterator[tuple[str, str, int, float, int]]:
        """Yield (data set, method, bits, label fraction, seed), data set outermost so that it loads once."""
        yield from itertools.product(self.datasets, self.methods, self.bits, self.label_fractions, self.seeds)


def parse(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Validate `values` as `model`, turning pydantic's findings into one line.

    Raises InputError naming `what`, the field and what is wrong; unknown keys come with the nearest valid one.
    """
    allowed = [field.alias or name for name, field in model.model_fields.items()]
    for key in values:
        if key not in allowed:
            raise unknown(f"{what} key", str(key), allowed)
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{what}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """The first finding of a validation error as one readable line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    message = re.sub(r"^Value error, ", "", first["msg"])
    given = first.get("input")
    shown = "" if isinstance(given, Mapping) else f" (given: {str(given)[:80]!r})"
    return f"{where}: {message}{shown}"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of SHA-256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def seed_stream(*parts: Scalar) -> int:
    """A 63-bit seed that depends on the named parts alone.

    Streams are named, not counted: adding one draw never shifts another, and a draw whose parts leave the
    method out is the same for every method.
    """
    return int(digest(["seed", *parts], 16), 16) >> 1
