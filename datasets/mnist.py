"""MNIST in torchvision's folder layout (idx files, plain or gzipped)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._files import first_existing, join_parts, read_idx, require_root
from benchmark.errors import InputError

_WANTED = "the four idx files (train-images-idx3-ubyte and its siblings, plain or .gz)"


class MNIST(HashDataset):
    """70,000 handwritten digits, 28x28: the 60,000 training images, then the 10,000 test images."""

    info = DatasetInfo(
        name="mnist",
        title="MNIST",
        source="LeCun, Cortes, Burges: The MNIST database of handwritten digits",
        classes=tuple("0123456789"),
        channels=1,
        height=28,
        width=28,
        default_protocol="mnist-69k",
        epochs=8,
        crop_padding=2,
        split_key="mnist",
        images=70_000,
        subject="handwritten digits",
        confusions=((2, 7), (3, 8), (7, 1), (5, 6), (6, 5)),  # Patrini et al., CVPR 2017
    )
    #: The folder below the data folder, and torchvision's class, which knows addresses and checksums.
    folder: ClassVar[str] = "MNIST/raw"
    torchvision: ClassVar[str] = "MNIST"

    def sources(self, root: Path | None) -> list[Path]:
        """Images and labels of both parts, in order."""
        folder = require_root(self.info.name, root, self.folder, _WANTED)
        return [
            first_existing([folder / stem, folder / f"{stem}.gz"], self.info.name)
            for part in ("train", "t10k")
            for stem in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read the idx files."""
        files = self.sources(root)
        parts = (("train", *files[:2]), ("test", *files[2:]))
        return join_parts(
            ((part, *_read(images, labels), labels) for part, images, labels in parts), len(self.info.classes)
        )

    def prepare(self, root: Path | None) -> None:
        """Download the four files from torchvision's mirrors, with its MD5 sums."""
        from torchvision import datasets as source

        facts = getattr(source, self.torchvision)
        remotes = [
            Remote(tuple(mirror + name for mirror in facts.mirrors), f"{self.folder}/{name}", md5)
            for name, md5 in facts.resources
        ]
        fetch_all(self.info.name, root, remotes, f"{self.folder}: {_WANTED}")


def _read(image_file: Path, label_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) and class indices (n,) of one part."""
    pixels, classes = read_idx(image_file), read_idx(label_file)
    if pixels.ndim != 3 or pixels.shape[1:] != (28, 28) or classes.shape != pixels.shape[:1]:
        raise InputError(
            f"{str(image_file)!r} and {label_file.name} do not match: {pixels.shape}, {classes.shape}"
        )
    return pixels[:, None], classes
