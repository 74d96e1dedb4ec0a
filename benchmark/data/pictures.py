"""Image files to 8-bit pictures: which formats are opened, and what becomes of depth, rotation and transparency."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Raised when a picture comes out otherwise than before: what was decoded earlier is then decoded again.
VERSION = 2
#: The raster formats that are opened, by Pillow's names; none of them runs another program.
_USUAL = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM")
_RARE = (
    "DIB",
    "TGA",
    "PCX",
    "DCX",
    "SGI",
    "SUN",
    "ICO",
    "ICNS",
    "PSD",
    "QOI",
    "DDS",
    "IM",
    "MSP",
    "XBM",
    "XPM",
)
FORMATS = (*_USUAL, *_RARE)
#: A file larger than this is not read, and a picture with more pixels not decoded (where Pillow stops as well).
MAX_BYTES = 2**30
MAX_PIXELS = 178_956_970
#: What lies behind transparent pixels.
BACKGROUND = (255, 255, 255, 255)
#: How files begin that people name `.jpg` and that are none.
_OTHERS = (
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb"%PDF", "a PDF"),
    (rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg", "SVG"),
    (rb"<!DOCTYPE html|<html", "a web page"),
    (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "HEIC"),
)


def read(path: Path, mode: Literal["RGB", "L"]) -> Image:
    """An image file as an upright 8-bit picture. Raises InputError with the reason that it cannot be read."""
    return parse(content(path), mode, npy=path.suffix.lower() == ".npy")


def content(path: Path) -> bytes:
    """The bytes of an image file. Raises InputError for one that cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise InputError(f"it has {size:,} bytes; at most {MAX_BYTES:,} are read")
            return file.read()
    except OSError as error:
        raise InputError(error.strerror or str(error)) from None


def parse(data: bytes, mode: Literal["RGB", "L"], *, npy: bool = False) -> Image:
    """The bytes of an image file as an upright 8-bit picture; `npy`: they are one uint8 array of numpy's.

    The first frame of an animation. 16-bit and float values are scaled by their type's range, transparency lies on
    white, the EXIF orientation is applied. Raises InputError with the reason that it cannot be read, one line.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if npy or data.startswith(b"\x93NUMPY"):
            return Image.fromarray(_array(data)).convert(mode)
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InputError(
                    f"it has {opened.width:,} x {opened.height:,} pixels; at most {MAX_PIXELS:,}"
                )
            return _plain(opened, mode)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(_unidentified(data)) from None
    except Exception as error:  # noqa: BLE001 - decoders fail in any way on what they do not expect
        reason = " ".join(str(error).split())
        known = isinstance(error, (OSError, SyntaxError, ValueError)) and reason
        raise InputError(reason if known else f"{type(error).__name__}: {reason}".rstrip(": ")) from None


def _unidentified(data: bytes) -> str:
    if not data:
        return "it is empty (zero bytes)"
    for start, kind in _OTHERS:
        if re.match(start, data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n"), re.IGNORECASE | re.DOTALL):
            return f"it is {kind}, which is not opened; store it as PNG or JPEG"
    return f"it is damaged, or none of the formats that are read ({', '.join(_USUAL)}, ...)"


def _array(data: bytes) -> np.ndarray:
    array: np.ndarray = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))
    if array.dtype != np.uint8 or not shaped or not array.size:
        raise InputError(
            f"it holds {array.dtype} {array.shape}, not uint8 (height, width) or (height, width, 3)"
        )
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _plain(image: Image, mode: Literal["RGB", "L"]) -> Image:
    from PIL import Image as pillow
    from PIL import ImageOps

    tile = getattr(image, "tile", None)  # loading empties it
    packed = str(tile[0][3]) if tile else ""
    scanned, inverted = image.format in ("PNG", "PPM"), getattr(image, "tag_v2", {}).get(262) == 0
    image.load()
    with contextlib.suppress(Exception):  # what cannot be read of the orientation turns nothing
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or (image.mode == "I" and scanned):
        top = 4095 if "I;12" in packed else 65535
        return pillow.fromarray(_scaled(image, top, inverted=inverted)).convert(mode)
    if image.mode in ("I", "F"):
        return pillow.fromarray(_without_range(image)).convert(mode)
    if re.search(r"\b(L|LA|RGB|RGBA|RGBX);16[BLN]", packed):  # the decoder kept the upper eight bits
        _refuse_dark(int(np.asarray(image.convert("RGB")).max()) * 256 + 255, 65535)
    if image.has_transparency_data:
        ground = pillow.new("RGBA", image.size, BACKGROUND)
        return pillow.alpha_composite(ground, image.convert("RGBA")).convert(mode)
    return image.convert(mode)


def _scaled(image: Image, top: int, *, inverted: bool) -> np.ndarray:
    """Grey values 0 .. top as uint8; `inverted`: 0 is white, as a TIFF file may say."""
    values = np.asarray(image).astype(np.int64)
    if values.any():
        _refuse_dark(int(values.max()), top)
    if inverted:
        values = top - values
    out = (values * 255 + top // 2) // top
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        out[values == clear] = BACKGROUND[0]
    return out.astype(np.uint8)


def _refuse_dark(peak: int, top: int) -> None:
    """Values that were meant for a smaller range keep next to nothing of it: 16 levels of 12 bits, 1 of 8."""
    if peak <= top // 16:
        raise InputError(
            f"it has {top.bit_length()} bits and no value above {peak:,} of {top:,}; nearly all levels would be "
            "lost: store it as 8 bits, or scaled to the whole range"
        )


def _without_range(image: Image) -> np.ndarray:
    """32-bit integers and floats as uint8: 0 .. 1 is scaled, whole numbers 0 .. 255 stay, others are refused."""
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())  # NaN fails every comparison
    if image.mode == "F" and low >= 0 and high <= 1:
        return np.rint(values * 255).astype(np.uint8)
    if low >= 0 and high <= 255 and (values == np.rint(values)).all():
        return values.astype(np.uint8)
    kind, allowed = ("float", "0 to 1, or whole numbers ") if image.mode == "F" else ("32-bit", "")
    raise InputError(
        f"its {kind} values go from {low:g} to {high:g}; allowed: {allowed}0 to 255. Store it as 8 or 16 bits"
    )
