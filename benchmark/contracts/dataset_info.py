"""What a data set declares: its facts, and the task that it makes of them."""

from __future__ import annotations

from pydantic import Field, model_validator

from benchmark.contracts.task import VECTORS, Inputs, Task
from benchmark.spec import NAME_PATTERN, PLAIN, Preprocessing, Value


class CorruptedFiles(Value):
    """Published corrupted versions of a data set's test images, in the layout of CIFAR-10-C.

    Attributes
    ----------
    folder : str
        Below the data folder. It holds `labels.npy` and `<corruption>.npy`, uint8 (5 x images, height, width,
        channels), all images at severity 1 first.
    part : str
        The test images are named `<part>/0`, `<part>/1`, ...
    images : int
        How many test images there are.
    """

    folder: str = Field(min_length=1)
    part: str
    images: int = Field(ge=1)


class DatasetInfo(Value):
    """Facts about a data set.

    Attributes
    ----------
    name, title, source : str
        What commands call it, what tables call it, and where its files come from.
    version : int
        From 1; raised when the same files would give other images or labels.
    classes : tuple of str
        Their names, in the order of the label columns.
    multi_label : bool
        Whether an item may have several labels.
    labelled : bool
        False for a set without labels, whose one class stands for all.
    inputs : str
        `images`, or `vectors` of `channels` numbers each (height and width are then 1).
    channels, height, width : int
        Of every item, in pixels; images have at least 4 x 4.
    default_protocol : str
        The protocol of runs that name none.
    epochs : int
        The training budget of runs that name none.
    crop_padding, flip : int (pixels), bool
        The training augmentation that every method gets.
    split_key : str
        Names the draws: two encodings of one image collection that share it share their splits. Empty: the name.
    images : int or None
        How many images the released collection gives, for forecasts where its files are not at hand.
    k : int or None
        The cut-off of mAP that the set's own lists were published with.
    notes : str
        What else a reader should know.
    subject, near : str, tuple of str
        In a word or two what the images show, and other subjects like it: by them a novelty view calls two data
        sets near or far.
    confusions : tuple of (int, int)
        Published pairs (class index, the class that it is mistaken for) for class-conditional label noise; data
        sets that share draws share them.
    corrupted : CorruptedFiles or None
        Published files that corruption views take in place of the project's own corruptions.
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
