"""ImageNet-100: a hundred class folders of ImageNet, or the list files that go round with them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.datasets._files import (
    IMAGE_SUFFIXES,
    class_folder_files,
    class_folders,
    describe_unused,
    one_hot,
)
from benchmark.datasets._large import Photographs, photographs, read_lines
from benchmark.datasets._lists import Resolver, listed_files, read_list
from benchmark.errors import InputError

_LISTS = {"query": "test.txt", "train": "train.txt", "database": "database.txt"}
CLASSES = 100


class ImageNet100(Photographs):
    """Images of 100 ImageNet classes; the validation images are the query part.

    With thuml/HashNet's train.txt, test.txt and database.txt beside the images, those are the set and its parts.
    Otherwise all images of `train/` and `val/`, with the classes that classes.txt names (or all, where there are a
    hundred folders), sorted.
    """

    info = photographs(
        "imagenet100",
        "ImageNet-100",
        "Russakovsky et al.: ImageNet large scale visual recognition challenge, IJCV 2015; 100 classes",
        tuple(f"class {number}" for number in range(CLASSES)),
        "imagenet100",
        multi=False,
        notes="the 100 classes are those of the lists, or of the folders in sorted order",
    ).model_copy(update={"subject": "objects"})
    places = ("imagenet100", "ImageNet100", "imagenet")
    wanted = (
        "train/<class>/*.JPEG and val/<class>/*.JPEG with 100 classes (or more and a classes.txt that names 100); "
        "train.txt, test.txt, database.txt for the lists' parts"
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The lists, the class list, and the class folders themselves."""
        folder = self.place(root)
        lists = [folder / name for name in (*_LISTS.values(), "classes.txt") if (folder / name).is_file()]
        if self._has_lists(folder):
            return [*lists, folder]
        parts = [self.need(folder / part) for part in ("train", "val")]
        return [*lists, *(part / name for part in parts for name in self._classes(folder))]

    def files(self, root: Path | None) -> ImageFiles:
        """The listed images with their parts, or those of the class folders."""
        folder = self.place(root)
        if self._has_lists(folder):
            lists = {part: read_list(folder / name) for part, name in _LISTS.items()}
            return listed_files(lists, CLASSES, Resolver(folder, ("train", "val")))
        classes = self._classes(folder)
        paths: list[Path] = []
        labels: list[int] = []
        starts = []
        unused: Counter[str] = Counter()
        for part in ("train", "val"):
            starts.append(len(paths))
            found = class_folder_files(folder / part, classes, IMAGE_SUFFIXES, unused)
            paths += [path for path, _ in found]
            labels += [label for _, label in found]
        files = ImageFiles(
            paths,
            one_hot(np.array(labels), CLASSES, folder),
            np.array(["/".join(path.parts[-3:]) for path in paths]),
            facts={"unused": describe_unused(unused)} if unused else {},
        )
        return dataclasses.replace(files, parts={"query": np.arange(starts[1], len(paths))})

    @staticmethod
    def _has_lists(folder: Path) -> bool:
        return all((folder / name).is_file() for name in _LISTS.values())

    def _classes(self, folder: Path) -> list[str]:
        given = folder / "classes.txt"
        if given.is_file():
            names = sorted({line.split()[0] for line in read_lines(given) if line})
            source = str(given)
        else:
            names = class_folders(self.need(folder / "train"))
            source = str(folder / "train")
        if len(names) != CLASSES:
            raise InputError(f"data set 'imagenet100': {source!r} has {len(names)} classes, not {CLASSES}")
        return names
