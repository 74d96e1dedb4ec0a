"""The database of `search` and `serve`: a folder of images, or a file of codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli._options import encode_shown

if TYPE_CHECKING:
    from benchmark.use.gallery import Gallery
    from benchmark.use.model import Encoder


def open_database(encoder: Encoder, database: str, images: str | None, skip_bad: bool) -> Gallery:
    """Codes and folder. A folder is encoded now; for a file of codes, `images` says where its pictures lie."""
    from benchmark.errors import InputError
    from benchmark.use.encode import read_encoded
    from benchmark.use.gallery import Gallery, check_fit
    from benchmark.use.sources import image_paths, of_images

    path = Path(database)
    if path.is_dir():
        source = of_images(encoder, path, image_paths(path), skip_bad)
        return Gallery(encode_shown(encoder, source), path)
    if not path.is_file():
        raise InputError(
            f"--database {database!r}: no such folder or file; `encode FIT --out FILE` makes one"
        )
    if images is not None and not Path(images).is_dir():
        raise InputError(f"no folder {images!r}: --images says where the pictures of the codes lie")
    codes = read_encoded(path)
    check_fit(encoder, codes)
    return Gallery(codes, Path(images) if images else None)
