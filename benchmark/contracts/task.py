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
