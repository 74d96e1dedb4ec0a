"""STL-10, labelled part, in the publisher's binary files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._archives import unpack
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._files import join_parts, require_root
from benchmark.errors import InputError

_FOLDER = "stl10_binary"
_WANTED = "stl10_binary (train_X.bin, train_y.bin, test_X.bin, test_y.bin)"
_IMAGE = 3 * 96 * 96


class STL10(HashDataset):
    """13,000 labelled photographs, 96x96: train (5,000), then test (8,000)."""

    info = DatasetInfo(
        name="stl10",
        title="STL-10",
        source="Coates, Lee, Ng: An analysis of single-layer networks in unsupervised learning, AISTATS 2011",
        classes=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        channels=3,
        height=96,
        width=96,
        default_protocol="balanced-100-500",
        epochs=20,
        crop_padding=8,
        flip=True,
        split_key="stl10",
        subject="objects",
        notes="the labelled images; the 100,000 unlabelled ones are not read",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """Images and labels of both parts, in order."""
        folder = require_root(self.info.name, root, _FOLDER, _WANTED)
        files = [folder / f"{part}_{kind}.bin" for part in ("train", "test") for kind in "Xy"]
        for path in files:
            if not path.is_file():
                raise InputError(f"data set {self.info.name!r}: missing file {str(path)!r}")
        return files

    def decode(self, root: Path | None) -> Decoded:
        """Read the files: planes of columns, labels from 1."""
        files = self.sources(root)
        parts = (("train", *files[:2]), ("test", *files[2:]))
        return join_parts(
            ((part, *_read(images, labels), labels) for part, images, labels in parts), len(self.info.classes)
        )

    def prepare(self, root: Path | None) -> None:
        """Unpack the archive, downloaded with torchvision's address and MD5 sum where it is not there."""
        from torchvision.datasets import STL10 as Source

        remote = Remote((Source.url,), Source.filename, Source.tgz_md5)
        (archive,) = fetch_all(self.info.name, root, [remote], _WANTED)
        unpack(archive, archive.parent)


def _read(image_file: Path, label_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 96, 96), kept as planes of columns, and class indices (n,), kept from 1, of one part."""
    pixels, classes = np.fromfile(image_file, np.uint8), np.fromfile(label_file, np.uint8)
    if pixels.size == 0 or pixels.size != len(classes) * _IMAGE:
        raise InputError(
            f"{str(image_file)!r} is truncated or does not match {label_file.name}: "
            f"{pixels.size} bytes, {len(classes)} labels need {len(classes) * _IMAGE}"
        )
    return pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2), classes.astype(np.int64) - 1
