"""What a data set is to the harness: its facts, its files or arrays, and the task that it makes.

Authors import these names from `benchmark.contracts`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from benchmark.spec import NAME_PATTERN, PLAIN, Preprocessing, Value

if TYPE_CHECKING:
    import numpy as np


#: What a method is given of each item: pixels, or a feature vector that was computed before.
Inputs = Literal["images", "vectors"]


#: The backbone of vectors: no network at all.
VECTORS = "vectors"


class CorruptedFiles(Value):
    """Published corrupted versions of a data set's test images, in the layout of CIFAR-10-C.

    folder: below the data folder; it holds `labels.npy` and `<corruption>.npy`, uint8 (5 x images, height, width,
    channels), all images at severity 1 first. part, images: the test images are named `<part>/0`, `<part>/1`, ...
    """

    folder: str = Field(min_length=1)
    part: str
    images: int = Field(ge=1)


class DatasetInfo(Value):
    """Facts about a data set.

    `labelled` is false for a set without labels, whose one class stands for all.
    `inputs` says what it holds: `images`, or `vectors` of `channels` numbers each (height and width are then 1).

    `crop_padding` (pixels) and `flip` state the training augmentation that every method gets; `split_key`
    names the draws, so that two encodings of one image collection share their splits. `images` is how many
    images the released collection gives, for forecasts where its files are not at hand.

    `subject` says in a word or two what the images show, and `near` names other subjects like it: by them a
    novelty view calls two data sets near or far. `confusions` are published pairs (class index, the class that it
    is mistaken for) for class-conditional label noise; data sets that share draws share them. `corrupted` are
    published files that corruption views take in place of the project's own corruptions.
    """

    name: str = Field(pattern=NAME_PATTERN)
    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    version: int = Field(default=1, ge=1)
    classes: tuple[str, ...]
    multi_label: bool = False
    labelled: bool = True
    inputs: Inputs = "images"
    channels: int = Field(ge=1)
    height: int = Field(default=1, ge=1)
    width: int = Field(default=1, ge=1)
    default_protocol: str
    epochs: int = Field(ge=1, description="default training budget")
    crop_padding: int = Field(default=0, ge=0)
    flip: bool = False
    split_key: str = ""
    images: int | None = Field(default=None, ge=1)
    k: int | None = Field(
        default=None, ge=1, description="mAP cut-off that the set's own lists were published with"
    )
    notes: str = ""
    subject: str = ""
    near: tuple[str, ...] = ()
    confusions: tuple[tuple[int, int], ...] = ()
    corrupted: CorruptedFiles | None = None

    @model_validator(mode="after")
    def _sizes(self) -> DatasetInfo:
        if self.inputs == "images" and min(self.height, self.width) < 4:
            raise ValueError(f"images must have at least 4 x 4 pixels, not {self.height} x {self.width}")
        if self.inputs == "vectors" and (self.height, self.width, self.crop_padding, self.flip) != (
            1,
            1,
            0,
            False,
        ):
            raise ValueError("vectors have height and width 1, and no augmentation")
        return self

    @property
    def form(self) -> str:
        """What an item is: `3x32x32` for images (channels, height, width), `vectors of 1280`."""
        if self.inputs == "vectors":
            return f"vectors of {self.channels}"
        return f"{self.channels}x{self.height}x{self.width}"

    def as_vectors(self, dimensions: int) -> DatasetInfo:
        """The same set with each image's feature vector in its place.

        Parameters
        ----------
        dimensions : int
            Numbers of a vector.

        Returns
        -------
        DatasetInfo
            Of vectors.
        """
        sizes = {"channels": dimensions, "height": 1, "width": 1, "crop_padding": 0, "flip": False}
        return self.model_copy(update={"inputs": "vectors", **sizes})

    def task(
        self, bits: int, backbone: str, weights: str, preprocessing: Preprocessing = PLAIN, head: str = ""
    ) -> Task:
        """The task of learning codes on this data set.

        Parameters
        ----------
        bits : int
            Bits of a code.
        backbone : str
            Its name; vectors have none.
        weights : str
            `none`, a published name, or a file's path.
        preprocessing : Preprocessing
            What overrides a pre-trained backbone's own.
        head : str
            `linear`, `mlp:N`, or empty for the method's.

        Returns
        -------
        Task
            What `supports` and `build` are given.
        """
        if self.inputs == "vectors":
            backbone, weights, preprocessing = VECTORS, "none", PLAIN
        return Task(
            bits=bits,
            classes=len(self.classes),
            channels=self.channels,
            height=self.height,
            width=self.width,
            multi_label=self.multi_label,
            backbone=backbone,
            weights=weights,
            inputs=self.inputs,
            preprocessing=preprocessing,
            head=head,
        )


@dataclass(frozen=True)
class Task:
    """The static facts of one fit: what goes in, how many bits come out, on which backbone.

    inputs: `images`, or `vectors` of `channels` numbers, for which the backbone is `vectors`, no network at all.
    preprocessing: what overrides a pre-trained backbone's own. head: `linear`, `mlp:N`, or empty for the method's.
    """

    bits: int
    classes: int
    channels: int
    height: int
    width: int
    multi_label: bool = False
    backbone: str = "compact"
    weights: str = "none"
    inputs: Inputs = "images"
    preprocessing: Preprocessing = PLAIN
    head: str = ""


class HashDataset(ABC):
    """Base of every data set. Subclass it in `datasets/<name>.py` or in an installed package."""

    info: ClassVar[DatasetInfo]

    @abstractmethod
    def sources(self, root: Path | None) -> list[Path]:
        """The files that this data set reads; their paths and contents key the decoded cache.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Returns
        -------
        list of Path
            Every file, in a fixed order.

        Raises
        ------
        InputError
            Names the missing folder or file and what belongs there.
        """

    @abstractmethod
    def decode(self, root: Path | None) -> Decoded:
        """Read and decode everything.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Returns
        -------
        Decoded
            Images or vectors, labels and names.

        Raises
        ------
        InputError
            Names a truncated or unreadable file.
        """

    def prepare(self, root: Path | None) -> None:  # noqa: B027 - optional on purpose
        """Download what can be downloaded; data sets without a download leave this as it is.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Raises
        ------
        InputError
            It cannot be had; the message says what to put where.
        """


#: The parts that fixed lists may name, as keys of `Decoded.parts`.
PARTS = ("query", "train", "database")


@dataclass(frozen=True)
class Decoded:
    """A whole data set: in memory, or (large ones) with its images in a memory-mapped file.

    images: uint8 (n, channels, height, width), or for vectors float16 or float32 (n, channels).
    labels: uint8 (n, classes), one-hot or multi-hot.
    names: n stable image names (unlike paths, the same on every machine), used by audits.
    parts: what a data set that comes with fixed lists says about its parts: int64 row numbers under names of
    `PARTS`, without repeats inside a part, in the lists' order. Parts may overlap where the released lists do.
    None: the data set has no parts of its own and a protocol draws them.
    facts: what a record should say about this reading of the files, such as images that were left out.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    parts: Mapping[str, np.ndarray] | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageFiles:
    """A data set as image files, which the harness decodes in parallel into its cache.

    paths: n files of a raster format, or `.npy` files with one uint8 image (height, width) or (height, width, 3).
    labels, names, parts, facts: as in `Decoded`.
    origins: where each path was read, for messages (`train.txt line 3`); empty when folders were listed.
    """

    paths: Sequence[Path]
    labels: np.ndarray
    names: np.ndarray
    parts: Mapping[str, np.ndarray] | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)
    origins: Sequence[str] = ()


class ImageDataset(HashDataset):
    """Base of data sets that are image files: they say which, and the harness decodes.

    Images of another size are resized (bilinear, antialiased): `stretch` to height and width whatever their shape,
    `crop` by scaling until both sides reach `zoom` times the wanted ones and cutting out the centre. A zoom of
    256/224 is the usual test-time view of ImageNet models.
    """

    fit: ClassVar[Literal["stretch", "crop"]] = "stretch"
    zoom: ClassVar[float] = 1.0

    @abstractmethod
    def files(self, root: Path | None) -> ImageFiles:
        """The image files, with labels and names; a missing image may be listed: decoding names it.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Returns
        -------
        ImageFiles
            Of the whole set.

        Raises
        ------
        InputError
            Missing folders or malformed lists.
        """

    def documents(self, root: Path | None) -> list[Path] | None:
        """The sources without the images, for a set whose sources are these and every image that `files` lists.

        `files` is then quick, and a million images need not be listed twice.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Returns
        -------
        list of Path or None
            Lists, tables, label files; None: `sources` tells all, which is the default.

        Raises
        ------
        InputError
            As `sources`.
        """
        return None

    def decode(self, root: Path | None) -> Decoded:
        """Not used: the harness decodes `files`.

        Parameters
        ----------
        root : Path or None
            The data folder; None when none was given.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(f"{type(self).__name__} is decoded by the harness, from `files`")
