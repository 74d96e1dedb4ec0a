"""The static facts of one fit, as a method's `supports` and `build` are given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.spec import PLAIN, Preprocessing

#: What a method is given of each item: pixels, or a feature vector that was computed before.
Inputs = Literal["images", "vectors"]

#: The backbone of vectors: no network at all.
VECTORS = "vectors"


@dataclass(frozen=True)
class Task:
    """The static facts of one fit: what goes in, how many bits come out, on which backbone.

    Attributes
    ----------
    bits : int
        Bits of a code, from 1.
    classes : int
        Classes of the data set.
    channels, height, width : int
        Of an image, in pixels; of a vector, its length, 1 and 1.
    multi_label : bool
        Whether an item may have several labels.
    backbone : str
        The feature network's name; `vectors`, no network at all, where the inputs are vectors.
    weights : str
        The backbone's: `none`, a published name, or a file's path.
    inputs : str
        `images`, or `vectors` of `channels` numbers.
    preprocessing : Preprocessing
        What overrides a pre-trained backbone's own.
    head : str
        `linear`, `mlp:N`, or empty for the method's own.
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
