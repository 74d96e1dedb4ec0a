"""A sweep and the points of its grid."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from benchmark.errors import InputError
from benchmark.spec.fit import BackboneName, Head, HiddenImages, LabelRule, NoiseKind, Precision, Selection
from benchmark.spec.preprocessing import PLAIN, Preprocessing
from benchmark.spec.values import Name, Value, flag


@dataclass(frozen=True)
class GridPoint:
    """One point of a sweep's grid. Points run in the order of these fields: the last varies fastest.

    Attributes
    ----------
    dataset, method : str
        Their names.
    bits : int
        Bits of a code.
    labels : LabelRule
        Which training labels are shown.
    class_split : int or None
        The choice of classes to train on; None: all.
    seed : int
        Of split and fit.
    """

    dataset: str
    method: str
    bits: int
    labels: LabelRule
    class_split: int | None
    seed: int


#: A field of a fit that is one of several values of a sweep -> the sweep's field.
AXES = {"dataset": "datasets", "method": "methods", "bits": "bits", "seed": "seeds"}


class Sweep(Value):
    """The grid that a `run` covers, as flags or a suite file give it.

    A field's description is the help of its option. `labels_per_class` adds its shares to those of
    `label_fractions`; given alone it replaces them. `params` holds parameters by method: {method: {name: value}}.
    """

    methods: tuple[Name, ...] = flag(
        ("coophash", "hashnet"), "A,B", "Methods, comma-separated.  [coophash,hashnet]"
    )
    datasets: tuple[Name, ...] = flag(("digits",), "A,B", "Data sets.  [digits]")
    bits: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = flag((16, 32), "N,M", "Code lengths.  [16,32]")
    label_fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = flag(
        (1.0,), "F,G", "Shares of the training labels to show.  [1]"
    )
    labels_per_class: tuple[Annotated[int, Field(ge=1)], ...] = flag(
        (), "N,M", "Labelled images a class, instead of a share."
    )
    label_noise: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = flag(
        (0.0,), "P,Q", "Shares of the shown labels to make wrong.  [0]"
    )
    noise_kind: NoiseKind = flag("symmetric", "", "Which wrong label.  [symmetric]")
    hidden_images: HiddenImages = flag("unlabelled", "", "Images without a label.  [handed over unlabelled]")
    views: tuple[str, ...] = flag(
        ("clean",), "A,B", "What to evaluate each fit under; see `list views`.  [clean]"
    )
    class_splits: tuple[Annotated[int, Field(ge=0, lt=1000)], ...] = flag(
        (0, 1, 2), "I,J", "Class choices of the view unseen-classes.  [0,1,2]"
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = flag((0,), "S,T", "Seeds.  [0]")
    protocol: Name = flag("default", "NAME", "Split, database and mAP@k; see `list protocols`.")
    backbone: BackboneName = flag("compact", "NAME", "Feature network: compact, resnet18, any of timm, ...")
    weights: str = flag("none", "none|imagenet|FILE", "The backbone's weights; see docs/features.md.  [none]")
    frozen: bool = flag(False, "", "Learn from the backbone's features, computed once.")
    preprocessing: Preprocessing = flag(PLAIN, "KEY=VALUE,...", "size, interpolation, crop, mean, std.")
    head: Head = flag("", "linear|mlp:N", "What stands between features and bits.  [the method's]")
    epochs: int | None = flag(
        None, "N", "Passes over the training images.  [the data set's]", ge=1, le=1_000_000
    )
    batch_size: int = flag(64, "N", "Images per update.  [64]", ge=2, le=1_000_000)
    selection: Selection = flag("last", "", "Which model is scored.  [last]")
    precision: Precision = flag("auto", "", "auto: bf16 for large backbones on CUDA, else fp32.  [auto]")
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _numbers_alone(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("labels_per_class") and "label_fractions" not in values:
            return {**values, "label_fractions": ()}
        return values

    @field_validator(*AXES.values(), "label_noise", "views", "class_splits")
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

    def points(self, class_splits: Iterable[int | None] = (None,)) -> Iterator[GridPoint]:
        """The points of the grid, data set outermost so that it loads once.

        Parameters
        ----------
        class_splits : iterable of int or None
            The class splits to train on; None trains on every class.

        Returns
        -------
        iterator of GridPoint
            In the order in which they run.
        """
        others = {"labels": self.label_rules(), "class_split": class_splits}
        names = [field.name for field in fields(GridPoint)]
        grid = (others[name] if name in others else getattr(self, AXES[name]) for name in names)
        for values in itertools.product(*grid):
            yield GridPoint(*values)


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file in UTF-8, with a byte order mark (Windows editors write one) or without.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        As `tomllib` reads it.

    Raises
    ------
    OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError
        It cannot be read, is no UTF-8, no TOML, or nested too deep.
    InputError
        A number or a text that nothing could take.
    """
    raw = path.read_bytes()
    try:
        found = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        error.reason += f" (line {line}); save the file as UTF-8"
        raise
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # more digits than Python converts
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None
    for key, value in found.items():
        if any("\0" in text for text in (key, *_texts(value))):
            raise InputError(f"{str(path)!r}: {key!r} holds a zero character, which no name or path has")
    return found


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a TOML value, keys included."""
    if isinstance(value, dict):
        yield from value
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
