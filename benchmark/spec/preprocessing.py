"""How images are brought into the form that a pre-trained backbone takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmark.spec.values import Value

Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class Preprocessing(Value):
    """What overrides a backbone's own preprocessing; None leaves the backbone's.

    Attributes
    ----------
    size : int or None
        Pixels of a side after resizing and cropping, 8 to 4096.
    interpolation : str or None
        Of resizing: `nearest`, `bilinear` or `bicubic`.
    crop : float or None
        The share of a side that is kept, around the centre, after resizing to size / crop; 1: nothing is cut off.
    mean, std : tuple of float, or None
        Subtracted from and divided into pixels in 0..1: one number, or one for each channel.
    """

    size: int | None = Field(default=None, ge=8, le=4096)
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    crop: float | None = Field(default=None, gt=0, le=1)
    mean: Channels | None = None
    std: Channels | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        listed = {key: [values[key]] for key in ("mean", "std") if isinstance(values.get(key), int | float)}
        return {**values, **listed}

    @model_validator(mode="after")
    def _usable(self) -> Preprocessing:
        for name in ("mean", "std"):
            if len(getattr(self, name) or "1") == 2:
                raise ValueError(f"{name} takes one number, or three")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self

    def describe(self) -> str:
        """What is overridden, for captions: `size 96, mean 0.5`; empty for nothing."""
        return self.as_text().replace(",", ", ").replace("=", " ")

    def as_text(self) -> str:
        """As the flag `--preprocessing` takes it: `size=96,mean=0.5`."""
        given = self.model_dump(exclude_none=True).items()
        texts = {key: "/".join(map(repr, v)) if isinstance(v, tuple) else v for key, v in given}
        return ",".join(f"{key}={value}" for key, value in texts.items())


#: Nothing is overridden.
PLAIN = Preprocessing()


def parse_preprocessing(text: str) -> dict[str, Any]:
    """`size=96,mean=0.5/0.5/0.5` as the fields of `Preprocessing`, unchecked."""
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        found[key.strip()] = value.strip().split("/") if key.strip() in ("mean", "std") else value.strip()
    return found
