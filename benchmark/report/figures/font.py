"""The figures' font: DejaVu Sans in a copy that is quick to embed in a PDF."""

from __future__ import annotations

import functools
import hashlib
import io
import logging
from pathlib import Path

from benchmark.files.places import cache_root
from benchmark.files.write import write_file

log = logging.getLogger(__name__)

ORIGINAL, COPY = "DejaVu Sans", "Report Sans"
#: Of these only GPOS places glyphs, and the copy's `kern` table says the same: pictures are alike to the pixel.
_LEFT_OUT = ("GPOS", "GDEF", "MATH", "FFTM")


@functools.cache
def family() -> str:
    """The name of the copy, known to matplotlib from now on; the original's where no copy can be kept.

    matplotlib takes a font apart for every PDF, and the tables left out here are half of that work: a fifth of
    the time that a figure takes.
    """
    from fontTools.ttLib import TTLibError
    from matplotlib import font_manager

    try:
        light = _light(Path(font_manager.findfont(ORIGINAL)).read_bytes())
        copy = cache_root() / "fonts" / f"report-sans-{hashlib.sha256(light).hexdigest()[:16]}.ttf"
        if not copy.is_file() or copy.read_bytes() != light:
            write_file(copy, light)
        font_manager.fontManager.addfont(copy)
    except (OSError, RuntimeError, TTLibError) as error:
        log.info("figures take longer: no copy of %s can be kept (%s)", ORIGINAL, error)
        return ORIGINAL
    return COPY


def _light(original: bytes) -> bytes:
    """The font without the tables in `_LEFT_OUT`, under the name of the copy."""
    from fontTools.ttLib import TTFont

    with TTFont(io.BytesIO(original), lazy=True, recalcTimestamp=False) as font:
        for table in _LEFT_OUT:
            if table in font:
                del font[table]
        names = {1: COPY, 4: COPY, 6: COPY.replace(" ", ""), 16: COPY}
        for record in font["name"].names:
            record.string = names.get(record.nameID, record.string)
        buffer = io.BytesIO()
        font.save(buffer)
    return buffer.getvalue()
