"""PASCAL VOC 2012, classification: ImageSets/Main, or the XML annotations."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.datasets._archives import unpack
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._large import Photographs, photographs, read_lines
from benchmark.errors import InputError

_CLASSES = """
    aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant
    sheep sofa train tvmonitor
"""
CLASSES = tuple(_CLASSES.split())
#: An annotation is a few kilobytes.
MAX_XML_BYTES = 2**22


class VOC2012(Photographs):
    """The 11,540 images of the classification task (trainval); an object marked difficult gives no label."""

    info = photographs(
        "voc2012",
        "VOC 2012",
        "Everingham et al.: The PASCAL visual object classes challenge, IJCV 2010",
        CLASSES,
        "voc2012",
        notes="trainval of the classification task; difficult objects give no label",
    )
    places = ("VOCdevkit/VOC2012", "VOC2012")
    wanted = "JPEGImages/, ImageSets/Main/ and Annotations/ (VOCtrainval_11-May-2012.tar)"

    def sources(self, root: Path | None) -> list[Path]:
        """The image list, the classes' lists or the annotation folder, and the image folder."""
        folder = self.place(root)
        main = folder / "ImageSets" / "Main"
        lists = [main / f"{name}_trainval.txt" for name in CLASSES]
        truth = lists if all(path.is_file() for path in lists) else [self.need(folder / "Annotations")]
        return [self.need(main / "trainval.txt"), *truth, self.need(folder / "JPEGImages")]

    def files(self, root: Path | None) -> ImageFiles:
        """The listed images, in the list's order."""
        image_list, *truth, images = self.sources(root)
        names = [line.split()[0] for line in read_lines(image_list) if line]
        if not names:
            raise InputError(f"{str(image_list)!r} names no image")
        from_lists = len(truth) == len(CLASSES)
        labels = _from_lists(truth, names) if from_lists else _from_xml(truth[0], names)
        return ImageFiles(
            paths=[images / f"{name}.jpg" for name in names],
            labels=labels,
            names=np.array([f"{name}.jpg" for name in names]),
            origins=[f"{image_list.name} line {line + 1}" for line in range(len(names))],
        )

    def prepare(self, root: Path | None) -> None:
        """Unpack the archive, downloaded with torchvision's address and MD5 sum where it is not there."""
        from torchvision.datasets.voc import DATASET_YEAR_DICT as YEARS

        facts = YEARS["2012"]
        remote = Remote((facts["url"],), facts["filename"], facts["md5"])
        (archive,) = fetch_all(self.info.name, root, [remote], self.wanted)
        unpack(archive, archive.parent)


def _from_lists(lists: list[Path], names: list[str]) -> np.ndarray:
    """Lines `<image> <1, 0 or -1>`: there, only difficult ones, not there."""
    row = {name: number for number, name in enumerate(names)}
    labels = np.zeros((len(names), len(CLASSES)), dtype=np.uint8)
    for column, file in enumerate(lists):
        for line, text in enumerate(read_lines(file), start=1):
            fields = text.split()
            if len(fields) != 2 or fields[0] not in row or fields[1] not in ("1", "0", "-1"):
                raise InputError(
                    f"{str(file)!r} line {line} is {text[:60]!r}; allowed: an image of trainval.txt and 1, 0 or -1"
                )
            labels[row[fields[0]], column] = fields[1] == "1"
    return labels


def _from_xml(folder: Path, names: list[str]) -> np.ndarray:
    labels = np.zeros((len(names), len(CLASSES)), dtype=np.uint8)
    for row, name in enumerate(names):
        file = folder / f"{name}.xml"
        try:
            if file.stat().st_size > MAX_XML_BYTES:
                raise InputError(f"{str(file)!r} is larger than {MAX_XML_BYTES:,} bytes")
            objects = ElementTree.fromstring(file.read_bytes()).findall("object")
        except (OSError, ElementTree.ParseError) as error:
            raise InputError(f"cannot read {str(file)!r}: {error}") from None
        for one in objects:
            label = (one.findtext("name") or "").strip()
            if label not in CLASSES:
                raise InputError(f"{str(file)!r} has an object {label!r}, which is none of the 20 classes")
            if (one.findtext("difficult") or "0").strip() != "1":
                labels[row, CLASSES.index(label)] = 1
    return labels
