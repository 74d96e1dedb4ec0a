"""The keys of a declaration of images, and reading them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from benchmark.contracts import PARTS
from benchmark.datasets._lists import Duplicates
from benchmark.errors import InputError
from benchmark.spec import Value, parse, read_toml

#: Pixels; an image of a larger side would fill a gigabyte.
Side = Annotated[int, Field(ge=4, le=16_384)]


class Declaration(Value):
    """The keys of a declaration.

    folder: where the images are. kind `folder`: it holds a folder a class; query, train, database name sub-folders
    that each hold class folders. kind `lists`: query, train, database are list files, or `images` is one list of
    all. kind `table`: `table` is a CSV or Parquet file; path, labels and part name its columns.
    size: pixels, one number or [height, width]. protocol: the default one; with parts of its own `lists`, else by
    the number of images.
    """

    kind: Literal["folder", "lists", "table"]
    folder: str = "."
    title: str = ""
    source: str = ""
    size: Side | tuple[Side, Side] = 32
    channels: Literal[1, 3] = 3
    fit: Literal["stretch", "crop"] = "crop"
    zoom: float = Field(default=1.0, ge=1, le=4)
    epochs: int = Field(default=20, ge=1, le=1_000_000)
    crop_padding: int = Field(default=0, ge=0)
    flip: bool = False
    classes: tuple[str, ...] = ()
    multi_label: bool | None = None
    protocol: str = ""
    query: str = ""
    train: str = ""
    database: str = ""
    images: str = ""
    duplicates: Duplicates = "refuse"
    table: str = ""
    path: str = ""
    labels: tuple[str, ...] = ()
    part: str = ""
    separator: str = Field(default=";", min_length=1)

    @field_validator("labels", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Declaration:
        listed = [part for part in PARTS if getattr(self, part)]
        if self.kind == "lists" and bool(self.images) == bool(listed):
            raise ValueError("kind 'lists' needs either `images` or some of `query`, `train`, `database`")
        if (self.kind == "table") != bool(self.table):
            raise ValueError("kind 'table' needs `table`, and no other kind has it")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must be distinct")
        if self.crop_padding > min(self.pixels):
            raise ValueError(f"crop_padding of {self.crop_padding} pixels is more than the images have")
        return self

    @property
    def parts(self) -> dict[str, str]:
        """What each part is read from."""
        return {part: getattr(self, part) for part in PARTS if getattr(self, part)}

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def read_declaration(file: Path) -> Declaration:
    """The keys of a declaration of images. Raises InputError naming the file and the key."""
    return parse(Declaration, read_keys(file), f"key of {file.name}")


def read_keys(file: Path) -> Mapping[str, Any]:
    """The keys of a declaration, unchecked but for its kind. Raises InputError naming the file."""
    try:
        raw: Mapping[str, Any] = read_toml(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{file.name} is no readable TOML file: {error}") from None
    if "kind" not in raw:
        raise InputError(f"{file.name} has no `kind`; allowed: folder, lists, table, vectors")
    return raw
