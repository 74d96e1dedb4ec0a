"""CIFAR-10 re-compressed as JPEG, in class folders. Not the original pixels, hence a name of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import ImageDataset, ImageFiles
from benchmark.datasets._files import class_folder_files, one_hot, require_root
from benchmark.datasets.cifar10 import CIFAR10, CLASSES
from benchmark.errors import InputError


class CIFAR10JPEG(ImageDataset):
    """`cifar10/{train,test}/<class>/NNNN.jpg`; inside a class in the original order.

    It shares its split key with `cifar10`: inside each class the images have the same order, so the same
    photographs become queries in both.
    """

    info = CIFAR10.info.model_copy(
        update={
            "name": "cifar10-jpeg",
            "title": "CIFAR-10 (JPEG)",
            "corrupted": None,
            "notes": "re-compressed as JPEG: numbers are not comparable with those on the original pixels",
        }
    )

    def sources(self, root: Path | None) -> list[Path]:
        """All image files: train, then test, class by class."""
        return [path for path, _ in self._files(root)]

    def files(self, root: Path | None) -> ImageFiles:
        """The JPEG files with their classes."""
        files = self._files(root)
        labels = one_hot(np.array([label for _, label in files]), 10, "cifar10")
        names = np.array(["/".join(path.parts[-3:]) for path, _ in files])
        return ImageFiles([path for path, _ in files], labels, names)

    def _files(self, root: Path | None) -> list[tuple[Path, int]]:
        wanted = "train/<class>/*.jpg and test/<class>/*.jpg"
        folder = require_root(self.info.name, root, "cifar10", wanted)
        files = []
        for part in ("train", "test"):
            try:
                files += class_folder_files(folder / part, CLASSES, (".jpg", ".jpeg"))
            except InputError as error:
                raise InputError(f"data set {self.info.name!r}: {error}") from error
        return files
