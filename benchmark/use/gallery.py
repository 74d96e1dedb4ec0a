"""A database that is searched: codes, and the folder where its images lie."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data import pictures
from benchmark.data.decode import decode
from benchmark.errors import InputError
from benchmark.use.encode import Codes
from benchmark.use.model import Encoder, pack

#: Pixels of a thumbnail's longer side.
THUMBNAIL = 192
#: Of an uploaded picture: bytes and pixels.
MAX_BYTES, MAX_PIXELS = 20 * 2**20, 50_000_000


@dataclass(frozen=True)
class Gallery:
    """Codes of a database, and the folder below which `codes.ids` name its images; None where there are none."""

    codes: Codes
    folder: Path | None

    def path(self, row: int) -> Path:
        """The image of a row. Raises InputError where there is none, or it lies outside the folder."""
        if self.folder is None or not 0 <= row < len(self.codes.ids):
            raise InputError("there is no such image")
        root, name = self.folder.resolve(), str(self.codes.ids[row])
        try:
            found = (root / name).resolve()
        except (OSError, ValueError, RuntimeError):
            raise InputError(f"image {name!r} cannot be found") from None
        if not found.is_relative_to(root) or not found.is_file():
            raise InputError(f"image {name!r} does not lie in the database's folder")
        return found

    def thumbnail(self, row: int) -> bytes:
        """A row's image as a JPEG file of `THUMBNAIL` pixels. Raises InputError as `path` does."""
        return thumbnail(pictures.content(self.path(row)))


def thumbnail(content: bytes) -> bytes:
    """An image file's bytes as a small JPEG file. Raises InputError for what is no picture."""
    picture = pictures.parse(content, "RGB")
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def as_url(content: bytes) -> str:
    """A JPEG file as a `data:` address."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def encode_picture(encoder: Encoder, content: bytes) -> Codes:
    """Codes of one image file's bytes, as `encode` gives them.

    Raises InputError for what is too large or no picture.
    """
    from PIL import Image

    target = encoder.target
    if target is None:
        raise InputError(f"fit {encoder.record.fit_id} learnt from vectors: it encodes no pictures")
    if len(content) > MAX_BYTES:
        raise InputError(f"the picture has {len(content):,} bytes; at most {MAX_BYTES:,}")
    try:
        with Image.open(io.BytesIO(content), formats=pictures.FORMATS) as opened:
            pixels = opened.width * opened.height
    except Exception:  # noqa: BLE001 - `parse` says what it is
        pixels = 0
    if pixels > MAX_PIXELS:
        raise InputError(f"the picture has {pixels:,} pixels; at most {MAX_PIXELS:,}")
    return encode_array(encoder, decode(Path("picture"), target, content))


def encode_array(encoder: Encoder, image: np.ndarray) -> Codes:
    """Codes of one image, uint8 (channels, height, width) in the fit's size."""
    outputs = encoder.outputs(np.array(image)[None])
    return Codes(pack(outputs), outputs, np.array(["query"]), encoder.record.spec.bits)


def check_fit(encoder: Encoder, codes: Codes) -> None:
    """Raise InputError for codes of another fit: distances between the two would mean nothing."""
    if codes.fit_id and codes.fit_id != encoder.record.fit_id:
        raise InputError(
            f"the database's codes are of fit {codes.fit_id}, not of {encoder.record.fit_id}: "
            "encode it with this one"
        )
    if codes.bits != encoder.record.spec.bits:
        raise InputError(f"the database's codes have {codes.bits} bits, the fit {encoder.record.spec.bits}")
