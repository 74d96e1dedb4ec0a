"""CIFAR-10 with the parts of HashGAN's lists, on the original images and on the JPEG ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.contracts import Decoded, ImageFiles
from benchmark.datasets._hashgan import BATCH, by_class_order, check_labels, list_paths, positions, read_lists
from benchmark.datasets._lists import ListFile
from benchmark.datasets.cifar10 import CIFAR10, CLASSES
from benchmark.datasets.cifar10_jpeg import CIFAR10JPEG
from benchmark.errors import InputError

_ORDER = "labels.txt"
_FACTS = {"default_protocol": "hashgan-cifar10", "corrupted": None}


class CIFAR10HashGAN(CIFAR10):
    """CIFAR-10; query, train and database are HashGAN's `test`, `train` and `database` lists, overlaps and all."""

    info = CIFAR10.info.model_copy(
        update={
            **_FACTS,
            "name": "cifar10-hashgan",
            "title": "CIFAR-10 (HashGAN's lists)",
            "notes": "the released lists put 888 of 1,000 queries into the database",
        }
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The batch files and the lists."""
        return [*super().sources(root), *list_paths(root, self.info.name)]

    def decode(self, root: Path | None) -> Decoded:
        """Read images and lists; the lists' labels must be the images'."""
        files = CIFAR10().decode(root)
        lists = read_lists(root, self.info.name)
        rows = {part: positions(listed) for part, listed in lists.items()}
        _check_inside(rows, len(files.images), lists)
        for part, listed in lists.items():
            check_labels(listed, files.labels[rows[part]].argmax(axis=1))
        return dataclasses.replace(files, parts=_distinct(rows, lists))


class CIFAR10JPEGHashGAN(CIFAR10JPEG):
    """The JPEG images with HashGAN's parts.

    A listed name stands for a place in CIFAR-10's original order; the JPEG folders keep that order inside each
    class only. Where `cifar10/labels.txt` gives the 60,000 classes in the original order, names are matched
    exactly. Without it the i-th listed image of a class is taken for the i-th JPEG of that class: labels, sizes
    and overlaps are the lists', the photographs behind the names are others. The record says which (fact
    `lists_matched`).
    """

    info = CIFAR10JPEG.info.model_copy(
        update={
            **_FACTS,
            "name": "cifar10-jpeg-hashgan",
            "title": "CIFAR-10 (JPEG, HashGAN's lists)",
        }
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The JPEG files, the lists, and the class order where there is one."""
        order = _order_file(root)
        return [
            *super().sources(root),
            *list_paths(root, self.info.name),
            *([order] if order.is_file() else []),
        ]

    def files(self, root: Path | None) -> ImageFiles:
        """The JPEG files with the lists' parts."""
        files = super().files(root)
        lists = read_lists(root, self.info.name)
        places = {part: positions(listed) for part, listed in lists.items()}
        order = _order_file(root)
        if order.is_file():
            numbers, matched = _exact(order), "exactly"
        else:
            numbers, matched = by_class_order([*lists.values()], [*places.values()]), "by class and order"
        finder = _Finder(files, numbers)
        rows: dict[str, np.ndarray] = {}
        for part, listed in lists.items():
            found = [finder.find(place, listed, line) for line, place in enumerate(places[part].tolist())]
            rows[part] = np.array(found, dtype=np.int64)
            check_labels(listed, files.labels[rows[part]].argmax(axis=1))
        facts = {"lists_matched": matched}
        return dataclasses.replace(files, parts=_distinct(rows, lists), facts=facts)


def _order_file(root: Path | None) -> Path:
    return (root or Path()) / "cifar10" / _ORDER


def _exact(order: Path) -> dict[int, tuple[int, int]]:
    """Original row to (class, number inside its class and its train or test part), from all 60,000 classes."""
    try:
        words = order.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(order)!r} cannot be read: {error}") from None
    number = {name: index for index, name in enumerate(CLASSES)} | {str(index): index for index in range(10)}
    found: dict[int, tuple[int, int]] = {}
    seen: dict[tuple[bool, int], int] = {}
    for row, word in enumerate(words):
        if word not in number:
            raise InputError(
                f"{str(order)!r} entry {row + 1} is {word!r}; allowed: 0 to 9 or CIFAR-10's class names"
            )
        key = (row >= 5 * BATCH, number[word])
        found[row] = (number[word], seen.get(key, 0))
        seen[key] = seen.get(key, 0) + 1
    return found


class _Finder:
    """From a place in the original order to a row of the JPEG set."""

    def __init__(self, files: ImageFiles, numbers: Mapping[int, tuple[int, int]]) -> None:
        classes = files.labels.argmax(axis=1)
        test = np.array([str(name).startswith("test/") for name in files.names])
        self.numbers = numbers
        self.rows = {
            (part, number): np.flatnonzero((test == part) & (classes == number))
            for part in (False, True)
            for number in range(len(CLASSES))
        }

    def find(self, place: int, listed: ListFile, line: int) -> int:
        """Raises InputError with the list's line when there is no such image here."""
        if place not in self.numbers:
            raise InputError(f"{listed.where(line)}: {_ORDER} ends before image {place + 1:,}")
        number, inside = self.numbers[place]
        members = self.rows[place >= 5 * BATCH, number]
        if inside >= len(members):
            raise InputError(
                f"{listed.where(line)}: class {CLASSES[number]} has {len(members)} images here, "
                f"number {inside + 1} is listed"
            )
        return int(members[inside])


def _check_inside(rows: Mapping[str, np.ndarray], n: int, lists: Mapping[str, ListFile]) -> None:
    for part, found in rows.items():
        beyond = np.flatnonzero(found >= n)
        if beyond.size:
            raise InputError(
                f"{lists[part].where(int(beyond[0]))} names image {found[beyond[0]] + 1:,} of {n:,}"
            )


def _distinct(rows: Mapping[str, np.ndarray], lists: Mapping[str, ListFile]) -> dict[str, np.ndarray]:
    for part, found in rows.items():
        seen: dict[int, int] = {}
        for line, row in enumerate(found.tolist()):
            if row in seen:
                raise InputError(f"{lists[part].where(line)} repeats {lists[part].where(seen[row])}")
            seen[row] = line
    return dict(rows)
