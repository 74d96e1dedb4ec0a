"""PNG files that are small: as many colours as are there, or as the eye can tell apart."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

#: How far a colour of a drawing may move, of 255: less than a screen shows.
SLACK = 16
#: Of more colours than this no palette comes near enough to be worth the search.
_COLOURS = 1 << 14


def png(image: Any, *, slack: int = 0, dots: int | None = None) -> bytes:
    """A Pillow picture without transparency as PNG: grey where it is, else a palette where no channel of a pixel
    moves by more than `slack` of 255, else full colour. dots: an inch, noted in the file.
    """
    from PIL import Image

    picture = image.convert("RGB")
    pixels = np.asarray(picture)
    if (pixels == pixels[:, :, :1]).all():
        picture = picture.convert("L")
    elif picture.getcolors(_COLOURS if slack else 256) is not None:
        few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        moved = np.abs(np.asarray(few.convert("RGB"), dtype=np.int16) - pixels)
        picture = few if moved.max(initial=0) <= slack else picture
    buffer = io.BytesIO()
    noted = {} if dots is None else {"dpi": (dots, dots)}
    picture.save(buffer, format="png", optimize=True, **noted)
    return buffer.getvalue()
