"""MNIST in torchvision's folder layout (idx files, plain or gzipped)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.errors import InputError
from datasets._files import download, first_existing, one_hot, read_idx, require_root

_WANTED = "the four idx files of MNIST (train-images-idx3-ubyte and its siblings, plain or .gz)"


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
    )

    def sources(self, root: Path | None) -> list[Path]:
        """Images and labels of both parts, in order."""
        folder = require_root(self.info.name, root, "MNIST/raw", _WANTED)
        return [
            first_existing([folder / stem, folder / f"{stem}.gz"], self.info.name)
            for part in ("train", "t10k")
            for stem in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read the idx files."""
        files = self.sources(root)
        images, labels, names = [], [], []
        for part, image_file, label_file in (("train", *files[:2]), ("test", *files[2:])):
            pixels, classes = read_idx(image_file), read_idx(label_file)
            if pixels.ndim != 3 or pixels.shape[1:] != (28, 28) or classes.shape != pixels.shape[:1]:
                raise InputError(
                    f"{str(image_file)!r} and {label_file.name} do not match: {pixels.shape}, {classes.shape}"
                )
            images.append(pixels[:, None])
            labels.append(one_hot(classes, 10, label_file))
            names += [f"{part}/{index:05d}" for index in range(len(pixels))]
        return Decoded(np.concatenate(images), np.concatenate(labels), np.array(names))

    def prepare(self, root: Path | None) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import MNIST as Source

        download(
            self.info.name, root, lambda folder: Source(str(folder), download=True), f"MNIST/raw: {_WANTED}"
        )
