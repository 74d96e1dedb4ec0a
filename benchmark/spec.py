"""What is to be measured: the cells of a sweep, their identity, and the seed streams.

Everything here is a value: frozen, validated, free of paths, devices and clocks. Two machines that
resolve the same sweep get the same `fit_id`s.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.errors import InputError, unknown

#: Raised when the meaning of a fit's identity changes; older records then show as stale.
SCHEMA = 1

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"

Selection = Literal["last", "val", "peek"]
Precision = Literal["auto", "fp32", "bf16"]
NoiseKind = Literal["symmetric", "class-conditional"]
HiddenImages = Literal["unlabelled", "dropped"]
CurveMetric = Literal["map", "accuracy", "fd", "samples"]
Scalar = bool | int | float | str | None
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

#: Backbones keep the names that torchvision and timm give them, such as `vit_base_patch16_224`.
BackboneName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]

M = TypeVar("M", bound=BaseModel)


class Value(BaseModel):
    """Base of the frozen value objects: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


#: Canonical names of single views, which `benchmark.views` parses: a kind, perhaps a member, a severity, a part.
VIEW_PATTERN = r"^[a-z0-9][a-z0-9-]*(:[a-z0-9][a-z0-9_.-]*)?(@[0-9]+)?(/(database|both))?$"


class View(Value):
    """One way to evaluate a trained model; `clean` is the plain query/database protocol."""

    name: str = Field(default="clean", pattern=VIEW_PATTERN, max_length=100)


class LabelRule(Value):
    """Which training labels a method sees: a share of them or a number a class, and how many are wrong.

    `per_class` set: that many labelled images a class (then `fraction` is 1 and means nothing). `noise` is the
    share of the shown labels that are replaced: by any other class alike (`symmetric`) or by the class's fixed
    confusion partner (`class-conditional`). Images without a label are handed over unlabelled or dropped.
    """

    fraction: float = Field(default=1.0, gt=0, le=1)
    per_class: int | None = Field(default=None, ge=1)
    noise: float = Field(default=0.0, ge=0, lt=1)
    noise_kind: NoiseKind = "symmetric"
    hidden: HiddenImages = "unlabelled"

    @property
    def share(self) -> str:
        """The share alone, for people: `1`, `0.1`, `5 a class`."""
        return f"{self.fraction:g}" if self.per_class is None else f"{self.per_class} a class"

    @property
    def full(self) -> bool:
        """Whether every training label is shown."""
        return self.fraction == 1 and self.per_class is None

    @property
    def slug(self) -> str:
        """For folder names: `1`, `0p1`, `5lpc`, `1-n0p2`."""
        share = f"{self.fraction:g}" if self.per_class is None else f"{self.per_class}lpc"
        noise = f"-n{self.noise:g}" if self.noise else ""
        return f"{share}{noise}".replace(".", "p")


class FitSpec(Value):
    """Everything that decides what a fit learns, and nothing else.

    Paths, devices, executors, trackers and views are left out on purpose: they must not change the number.
    `precision` is what was asked for; `auto` lets the device decide (the record says what it chose).
    `epochs` and `batch_size` are None for methods that are not trained by gradient steps. `class_split` numbers
    the seeded choice of classes that an unseen-classes fit trains on; None trains on all of them.
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
    labels_per_class: int | None = Field(default=None, ge=1)
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    noise_kind: NoiseKind = "symmetric"
    hidden_images: HiddenImages = "unlabelled"
    class_split: int | None = Field(default=None, ge=0, lt=1000)
    seed: int = Field(ge=0, lt=2**31)
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    selection: Selection = "last"
    precision: Precision = "auto"

    @property
    def fit_id(self) -> str:
        """16 hex digits of the SHA-256 over the canonical JSON of this specification."""
        identity = self.model_dump(mode="json")
        for name, default in _LATER_FIELDS.items():
            if identity[name] == default:
                del identity[name]
        return digest(identity)

    @property
    def label_rule(self) -> LabelRule:
        """Which training labels the fit sees."""
        return LabelRule(
            fraction=self.label_fraction,
            per_class=self.labels_per_class,
            noise=self.label_noise,
            noise_kind=self.noise_kind,
            hidden=self.hidden_images,
        )

    @property
    def label(self) -> str:
        """A short name for people: `coophash digits 32b 0.1 labels s0`."""
        rule = self.label_rule
        parts = [self.method, self.dataset, f"{self.bits}b"]
        parts += [] if rule.full else [f"{rule.share} labels"]
        parts += [f"{rule.noise:g} noise"] if rule.noise else []
        parts += [] if self.class_split is None else [f"classes {self.class_split}"]
        return " ".join([*parts, f"s{self.seed}"])


#: Fields that came after schema 1 with the value that means what their absence meant: records made before them
#: keep their identity.
_LATER_FIELDS: dict[str, Any] = {
    "labels_per_class": None,
    "noise_kind": "symmetric",
    "hidden_images": "unlabelled",
    "class_split": None,
}


class Job(Value):
    """One unit of work: a fit to train and score, or with `stored`, the views to evaluate a finished one under."""

    fit: FitSpec
    views: tuple[View, ...] = (View(),)
    stored: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep's grid."""

    dataset: str
    method: str
    bits: int
    labels: LabelRule
    class_split: int | None
    seed: int


class Sweep(Value):
    """The grid that a `run` covers, as flags or a suite file give it.

    `labels_per_class` adds its shares to those of `label_fractions`; given alone it replaces them.
    `class_splits` are the seeded class choices of the view `unseen-classes`.
    """

    methods: tuple[Name, ...] = ("coophash", "hashnet")
    datasets: tuple[Name, ...] = ("digits",)
    bits: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (16, 32)
    label_fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    labels_per_class: tuple[Annotated[int, Field(ge=1)], ...] = ()
    label_noise: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0.0,)
    noise_kind: NoiseKind = "symmetric"
    hidden_images: HiddenImages = "unlabelled"
    views: tuple[str, ...] = ("clean",)
    class_splits: tuple[Annotated[int, Field(ge=0, lt=1000)], ...] = (0, 1, 2)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    protocol: Name = "default"
    backbone: BackboneName = "compact"
    weights: str = "none"
    epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    batch_size: int = Field(default=64, ge=2, le=1_000_000)
    selection: Selection = "last"
    precision: Precision = "auto"
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _numbers_alone(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("labels_per_class") and "label_fractions" not in values:
            return {**values, "label_fractions": ()}
        return values

    @field_validator("methods", "datasets", "bits", "label_noise", "views", "class_splits", "seeds")
    @classmethod
    def _not_empty(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one")
        return tuple(dict.fromkeys(value))

    @field_validator("label_fractions", "labels_per_class")
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _some_labels(self) -> Sweep:
        if not (self.label_fractions or self.labels_per_class):
            raise ValueError("label_fractions: must name at least one")
        return self

    def label_rules(self) -> Iterator[LabelRule]:
        """Every share of the labels at every noise."""
        shares: list[dict[str, Any]] = [{"fraction": fraction} for fraction in self.label_fractions]
        shares += [{"per_class": number} for number in self.labels_per_class]
        for share, noise in itertools.product(shares, self.label_noise):
            yield LabelRule(noise=noise, noise_kind=self.noise_kind, hidden=self.hidden_images, **share)

    def cells(self, class_splits: Iterable[int | None] = (None,)) -> Iterator[Cell]:
        """Yield the grid's cells, data set outermost so that it loads once."""
        grid = (self.datasets, self.methods, self.bits, self.label_rules(), class_splits, self.seeds)
        for values in itertools.product(*grid):
            yield Cell(*values)


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


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file in UTF-8, with a byte order mark (Windows editors write one) or without.

    Raises OSError, UnicodeDecodeError, tomllib.TOMLDecodeError and, for deep nesting, RecursionError.
    """
    return tomllib.loads(path.read_bytes().decode("utf-8-sig"))


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
