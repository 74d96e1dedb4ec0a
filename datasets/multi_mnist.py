"""Two or three digits on one canvas: a multi-label set of real pixels that is at hand everywhere."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets.digits import Digits
from benchmark.datasets.mnist import MNIST
from benchmark.errors import InputError
from benchmark.spec import seed_stream

log = logging.getLogger(__name__)

SIDE = 32
DIGIT = 16
#: Canvases at most; MNIST would make 28,000, which no smoke test needs.
CANVASES = 2_000


class MultiDigits(HashDataset):
    """About 715 canvases, 32x32, of scikit-learn's digits; no digit is on two canvases.

    Each canvas has two or three digits (a fair draw) in different quadrants, moved by up to 2 px; the label set is
    the set of their classes. The draw is fixed: the same everywhere, whatever the seed of a run.
    """

    info = DatasetInfo(
        name="multi-digits",
        title="multi-digits",
        source="made here: two or three of scikit-learn's digits on one canvas",
        classes=tuple("0123456789"),
        multi_label=True,
        channels=1,
        height=SIDE,
        width=SIDE,
        default_protocol="multi-100-400",
        epochs=30,
        crop_padding=2,
        split_key="multi-digits",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The file inside scikit-learn."""
        return Digits().sources(root)

    def decode(self, root: Path | None) -> Decoded:
        """Put digits on canvases."""
        return _compose(Digits().decode(root), "digits")


class MultiMNIST(MultiDigits):
    """2,000 canvases of MNIST digits; where MNIST is not in the data folder, the canvases of `multi-digits`.

    The two have different data fingerprints, so their results never mix, and a record says which it was
    (fact `made_from`).
    """

    info = MultiDigits.info.model_copy(
        update={
            "name": "multi-mnist",
            "title": "multi-MNIST",
            "source": "made here: two or three MNIST digits (or scikit-learn's, without MNIST) on one canvas",
            "epochs": 15,
            "split_key": "multi-mnist",
            "subject": "handwritten digits",
            "notes": "made from MNIST where it is in the data folder, else from scikit-learn's digits",
        }
    )

    def sources(self, root: Path | None) -> list[Path]:
        """MNIST's files, or the one inside scikit-learn."""
        return self._source(root)[0].sources(root)

    def decode(self, root: Path | None) -> Decoded:
        """Put digits on canvases."""
        source, made_from = self._source(root)
        if made_from != "mnist":
            log.warning("multi-mnist: MNIST is not under %s; made from scikit-learn's digits instead", root)
        return _compose(source.decode(root), made_from)

    @staticmethod
    def _source(root: Path | None) -> tuple[HashDataset, str]:
        try:
            MNIST().sources(root)
        except InputError:
            return Digits(), "digits"
        return MNIST(), "mnist"


def _compose(digits: Decoded, made_from: str) -> Decoded:
    """Canvases in the order of a fixed permutation of the digits, each digit used at most once."""
    generator = np.random.Generator(np.random.PCG64(seed_stream("multi-digit canvases", made_from)))
    order = generator.permutation(len(digits.images))
    images, labels, names = [], [], []
    used = 0
    while len(images) < CANVASES and len(order) - used >= 3:
        count = int(generator.integers(2, 4))
        rows = order[used : used + count]
        used += count
        canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
        quadrants = generator.permutation(4)[:count]
        shifts = generator.integers(-2, 3, size=(count, 2))
        for row, quadrant, shift in zip(rows, quadrants, shifts, strict=True):
            corner = np.array([quadrant // 2, quadrant % 2]) * DIGIT + shift
            top, left = np.clip(corner, 0, SIDE - DIGIT)
            place = canvas[top : top + DIGIT, left : left + DIGIT]
            np.maximum(place, _small(digits.images[row, 0]), out=place)
        images.append(canvas[None])
        labels.append(digits.labels[rows].max(axis=0))
        names.append(f"{made_from}/" + "+".join(str(row) for row in rows))
    return Decoded(np.stack(images), np.stack(labels), np.array(names), facts={"made_from": made_from})


def _small(image: np.ndarray) -> np.ndarray:
    """A digit at 16 px: as it is, or 28 px with a margin of 2, averaged two by two (rounded half up)."""
    if image.shape == (DIGIT, DIGIT):
        return image
    wide = np.pad(image, (2 * DIGIT - image.shape[0]) // 2).astype(np.uint16)
    return ((wide.reshape(DIGIT, 2, DIGIT, 2).sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
