"""NUS-WIDE in its official layout: image list, one ground-truth file a concept, and a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.datasets._large import Photographs, photographs, read_lines
from benchmark.datasets._lists import Resolver, short
from benchmark.errors import InputError

_81 = """
    airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer coral cow
    dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor horses house lake
    leaf map military moon mountain nighttime ocean person plane plants police protest railroad rainbow reflection
    road rocks running sand sign sky snow soccer sports statue street sun sunset surf swimmers tattoo temple tiger
    tower town toy train tree valley vehicle water waterfall wedding whales window zebra
"""
_21 = """
    animal beach buildings clouds flowers grass lake mountain ocean person plants reflection road rocks sky snow
    sunset tree vehicle water window
"""
CONCEPTS = tuple(_81.split())
FREQUENT = tuple(_21.split())
#: The images of the whole collection; only then can the most frequent concepts be checked.
_ALL = 269_648
_SOURCE = "Chua et al.: NUS-WIDE: a real-world web image database, CIVR 2009"


class NUSWIDE81(Photographs):
    """The images with at least one of the 81 concepts."""

    info = photographs("nuswide-81", "NUS-WIDE (81 concepts)", _SOURCE, CONCEPTS, "nuswide-81")
    places = ("NUS-WIDE", "nuswide", "nus_wide")
    wanted = (
        "ImageList/Imagelist.txt, Groundtruth/AllLabels/Labels_<concept>.txt and the images in images/ "
        "or Flickr/"
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The image list, the concepts' files and the image folder itself."""
        folder = self.place(root)
        truth = folder / "Groundtruth" / "AllLabels"
        if not truth.is_dir():
            truth = folder / "AllLabels"
        lists = [self.need(truth / f"Labels_{concept}.txt") for concept in self.info.classes]
        return [self._image_list(folder), *lists, self._images(folder)]

    def files(self, root: Path | None) -> ImageFiles:
        """The listed images that have one of the concepts, in the list's order."""
        image_list, *truths, images = self.sources(root)
        listed = read_lines(image_list)
        labels = np.zeros((len(listed), len(truths)), dtype=np.uint8)
        for column, truth in enumerate(truths):
            labels[:, column] = _read_truth(truth, len(listed), image_list)
        rows = np.flatnonzero(labels.any(axis=1))
        if not len(rows):
            raise InputError(f"no image of {str(image_list)!r} has one of the concepts of {self.info.name!r}")
        found = Resolver(images, flat=True).find(
            [listed[row] for row in rows]
        )  # its names begin with a number
        return ImageFiles(
            paths=found.files,
            labels=labels[rows],
            names=np.array([short(listed[row]) for row in rows]),
            origins=[f"{image_list.name} line {row + 1}" for row in rows],
            facts=self._facts(image_list, len(listed)),
        )

    def _facts(self, image_list: Path, images: int) -> dict[str, str | int]:
        return {}

    def _image_list(self, folder: Path) -> Path:
        for place in ("ImageList/Imagelist.txt", "ImageList/ImageList.txt", "Imagelist.txt"):
            if (folder / place).is_file():
                return folder / place
        return self.need(folder / "ImageList" / "Imagelist.txt")

    def _images(self, folder: Path) -> Path:
        for place in ("images", "Flickr", "Images"):
            if (folder / place).is_dir():
                return folder / place
        return self.need(folder / "images")


class NUSWIDE21(NUSWIDE81):
    """The images with at least one of the 21 most frequent concepts (195,834 of the 269,648)."""

    info = photographs(
        "nuswide-21",
        "NUS-WIDE (21 concepts)",
        _SOURCE,
        FREQUENT,
        "nuswide-tc21",
        images=195_834,
        notes="the names of the 21 concepts are checked against the counts when all official files are there",
    )

    def _facts(self, image_list: Path, images: int) -> dict[str, str | int]:
        """With the whole collection at hand: whether these are the 21 most frequent concepts."""
        truths = {name: self.sources_of(image_list, name) for name in CONCEPTS}
        if images != _ALL or not all(path.is_file() for path in truths.values()):
            return {}
        counts = {name: int(_read_truth(path, images, image_list).sum()) for name, path in truths.items()}
        frequent = sorted(counts, key=lambda name: -counts[name])[: len(FREQUENT)]
        other = sorted(set(frequent) - set(FREQUENT))
        return {
            "concepts": f"more frequent and not used: {', '.join(other)}" if other else "the 21 most frequent"
        }

    @staticmethod
    def sources_of(image_list: Path, concept: str) -> Path:
        """The ground-truth file of a concept, beside the image list's folder."""
        folder = image_list.parent.parent if image_list.parent.name == "ImageList" else image_list.parent
        official = folder / "Groundtruth" / "AllLabels" / f"Labels_{concept}.txt"
        return official if official.is_file() else folder / "AllLabels" / official.name


def _read_truth(path: Path, count: int, image_list: Path) -> np.ndarray:
    lines = read_lines(path)
    if len(lines) != count:
        raise InputError(f"{str(path)!r} has {len(lines)} lines, {str(image_list)!r} names {count} images")
    values = np.array(lines)
    wrong = np.flatnonzero((values != "0") & (values != "1"))
    if wrong.size:
        raise InputError(f"{str(path)!r} line {wrong[0] + 1} is {lines[wrong[0]]!r}; allowed: 0 and 1")
    return (values == "1").astype(np.uint8)
