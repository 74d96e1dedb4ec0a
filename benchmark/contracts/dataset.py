"""The bases of every data set, and what they give: files or arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from benchmark.contracts.dataset_info import DatasetInfo

if TYPE_CHECKING:
    import numpy as np


class HashDataset(ABC):
    """Base of every data set. Subclass it in `datasets/<name>.py` or in an installed package.

    Attributes
    ----------
    info : DatasetInfo
        Its facts.
    """

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

    Attributes
    ----------
    images : array
        uint8 (n, channels, height, width), or for vectors float16 or float32 (n, channels).
    labels : uint8 (n, classes)
        One-hot or multi-hot.
    names : array of str (n,)
        Stable image names (unlike paths, the same on every machine), used by audits.
    parts : mapping of str to int64 array, or None
        Row numbers under names of `PARTS`, of a data set that comes with fixed lists: in the lists' order, without
        repeats inside a part. Parts may overlap where the released lists do. None: a protocol draws the parts.
    facts : mapping
        What a record should say about this reading of the files, such as images that were left out.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    parts: Mapping[str, np.ndarray] | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageFiles:
    """A data set as image files, which the harness decodes in parallel into its cache.

    Attributes
    ----------
    paths : sequence of Path (n,)
        Files of a raster format, or `.npy` files with one uint8 image (height, width) or (height, width, 3).
    labels, names, parts, facts
        As in `Decoded`.
    origins : sequence of str
        Where each path was read, for messages (`train.txt line 3`); empty when folders were listed.
    """

    paths: Sequence[Path]
    labels: np.ndarray
    names: np.ndarray
    parts: Mapping[str, np.ndarray] | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)
    origins: Sequence[str] = ()


class ImageDataset(HashDataset):
    """Base of data sets that are image files: they name the files, and the harness decodes them.

    Attributes
    ----------
    fit : str
        How images of another size are resized (bilinear, antialiased): `stretch` to height and width whatever their
        shape, or `crop`: scaled until both sides reach `zoom` times the wanted ones, and the centre cut out.
    zoom : float
        From 1; 256/224 is the usual test-time view of ImageNet models.
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
        """`sources` without the images: the lists and label files alone, where every other source is in `files`.

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
