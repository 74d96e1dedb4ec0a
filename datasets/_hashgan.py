"""HashGAN's CIFAR-10 lists, which address images by their place in CIFAR-10's original order.

`train/<batch>_<index>.jpg` is image `index` of data_batch_{batch + 1}, `test/999_<index>.jpg` image `index` of the
test batch; ten 0/1 columns follow in CIFAR-10's class order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.datasets._lists import ListFile, read_list
from benchmark.errors import InputError

FOLDER = "cifar10_hashgan_lists"
FILES = {"query": "test.txt", "train": "train.txt", "database": "database.txt"}
CLASSES = 10
BATCH = 10_000
_NAME = re.compile(r"(?:train/([0-4])|test/999)_(\d{1,4})\.jpg")


def list_paths(root: Path | None, name: str) -> list[Path]:
    """The three list files. Raises InputError naming one that is missing."""
    if root is None:
        raise InputError(f"data set {name!r} needs a data folder: give --data-root or set BENCHMARK_DATA")
    paths = [root / FOLDER / file for file in FILES.values()]
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"data set {name!r}: missing list file {str(path)!r} (thuml/HashGAN, data_list/cifar10)"
            )
    return paths


def read_lists(root: Path | None, name: str) -> dict[str, ListFile]:
    """The three lists by part."""
    return {part: read_list(path, CLASSES) for part, path in zip(FILES, list_paths(root, name), strict=True)}


def cifar_row(path: str) -> int | None:
    """The row of a listed name in CIFAR-10's original order (five batches, then the test batch), or None."""
    found = _NAME.fullmatch("/".join(path.replace("\\", "/").split("/")[-2:]))
    if found is None:
        return None
    return BATCH * (int(found[1]) if found[1] else 5) + int(found[2])


def positions(listed: ListFile) -> np.ndarray:
    """int64 rows in CIFAR-10's original order. Raises InputError with the line of another kind of name."""
    rows = [cifar_row(path) for path in listed.paths]
    for number, row in enumerate(rows):
        if row is None:
            raise InputError(
                f"{listed.where(number)} has {listed.paths[number]!r}; allowed: train/<0 to 4>_<index>.jpg and "
                "test/999_<index>.jpg"
            )
    return np.array(rows, dtype=np.int64)


def check_labels(listed: ListFile, labels: np.ndarray) -> None:
    """Compare a list's columns with the images' classes: labels (n,), one a line of the list.

    Raises InputError with the first line that says something else: the images are not in the original order.
    """
    wrong = np.flatnonzero((listed.fields.argmax(axis=1) != labels) | (listed.fields.sum(axis=1) != 1))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{listed.where(row)} gives {listed.paths[row]} class {int(listed.fields[row].argmax())}, "
            f"the images here say {int(labels[row])}: they are not in CIFAR-10's original order"
        )


def by_class_order(lists: Sequence[ListFile], places: Sequence[np.ndarray]) -> dict[int, tuple[int, int]]:
    """Original row to (class, number inside the class) from what the lists alone say.

    Images that no list names have no known class, so a number counts listed images only: it keeps labels, counts,
    overlaps and the order, but is no longer the very photograph.
    """
    label: dict[int, int] = {}
    for listed, rows in zip(lists, places, strict=True):
        label.update(zip(rows.tolist(), listed.fields.argmax(axis=1).tolist(), strict=True))
    seen: dict[tuple[bool, int], int] = {}
    found: dict[int, tuple[int, int]] = {}
    for row in sorted(label):
        key = (row >= 5 * BATCH, label[row])
        found[row] = (label[row], seen.get(key, 0))
        seen[key] = seen.get(key, 0) + 1
    return found
