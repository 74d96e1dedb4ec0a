"""MIRFLICKR-25K with its 38 annotations: 24 topics, and 14 of them again in the stricter sense (`_r1`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.datasets._large import Photographs, photographs, read_lines
from benchmark.errors import InputError

_POTENTIAL = """
    animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river sea
    sky structures sunset transport tree water
"""
_RELEVANT = "baby bird car clouds dog female flower male night people portrait river sea tree"
LABELS = (*_POTENTIAL.split(), *(f"{name}_r1" for name in _RELEVANT.split()))


class MIRFLICKR(Photographs):
    """25,000 photographs im1.jpg to im25000.jpg; images without a label are kept."""

    info = photographs(
        "mirflickr",
        "MIRFLICKR-25K",
        "Huiskes, Lew: The MIR Flickr retrieval evaluation, MIR 2008",
        LABELS,
        "mirflickr38",
        notes="24 + 14 annotations; images without a label are kept",
    )
    places = ("mirflickr", "mirflickr25k", "MIRFLICKR")
    wanted = "im1.jpg to im25000.jpg and the folder mirflickr25k_annotations_v080 (38 text files)"

    def sources(self, root: Path | None) -> list[Path]:
        """The annotation files and the image folder."""
        folder = self.place(root)
        choices = [folder / "mirflickr25k_annotations_v080", folder.parent / "mirflickr25k_annotations_v080"]
        choices.append(folder / "annotations")
        annotations = next((choice for choice in choices if choice.is_dir()), choices[0])
        self.need(annotations)
        return [*(self.need(annotations / f"{name}.txt") for name in LABELS), folder]

    def files(self, root: Path | None) -> ImageFiles:
        """Every image, by its number."""
        *annotations, folder = self.sources(root)
        numbers = sorted(int(path.stem[2:]) for path in folder.glob("im*.jpg") if path.stem[2:].isdecimal())
        if not numbers:
            raise InputError(f"data set 'mirflickr': no im1.jpg ... in {str(folder)!r}")
        row = {number: index for index, number in enumerate(numbers)}
        labels = np.zeros((len(numbers), len(LABELS)), dtype=np.uint8)
        for column, file in enumerate(annotations):
            for line, text in enumerate(read_lines(file), start=1):
                if not text.isdecimal() or int(text) not in row:
                    raise InputError(
                        f"{str(file)!r} line {line} names image {text!r}, which is not in {str(folder)!r}"
                    )
                labels[row[int(text)], column] = 1
        names = [f"im{number}.jpg" for number in numbers]
        return ImageFiles([folder / name for name in names], labels, np.array(names))
