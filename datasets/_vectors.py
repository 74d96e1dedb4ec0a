"""Data sets of feature vectors that a user declares: embeddings of images, or of anything else, with labels.

`<data folder>/my-set.toml` with ``kind = "vectors"`` makes the name `my-set` known, as other declarations do.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._files import no_labels
from benchmark.datasets._table_labels import PART_NAMES
from benchmark.datasets._text import read_text
from benchmark.datasets._vector_files import (
    LABELS,
    PARTS,
    SUFFIXES,
    Rows,
    one_line,
    open_arrays,
    pick,
    vector_rows,
)
from benchmark.errors import InputError
from benchmark.spec import Value, parse

#: The one class of a set without labels: what no class of a file can be called.
UNLABELLED = "(none)"
#: Between the labels of an item of several.
_SEPARATOR = ";"


class VectorDeclaration(Value):
    """The keys of a declaration of vectors.

    features: the file of vectors; key: which array of it. labels: a file of labels (without one, the labels in the
    file of vectors); labels_key: which array of it. split: a file of parts. All of them have a row an item: labels
    are a class (an index or a name), several joined by `;`, or 0/1 columns; parts are `train`, `query` or `test`,
    and `database`, several joined by `;`. protocol: the default one; with parts of its own `lists`.
    split_key: the data set whose seeded draws this one shares, which holds the same items in the same order.
    """

    kind: Literal["vectors"]
    features: str = Field(min_length=1)
    key: str = ""
    labels: str = ""
    labels_key: str = ""
    split: str = ""
    title: str = ""
    source: str = ""
    epochs: int = Field(default=20, ge=1)
    classes: tuple[str, ...] = ()
    protocol: str = ""
    split_key: str = ""


class VectorDataset(HashDataset):
    """A data set of vectors that a TOML file declares; `info` belongs to the instance."""

    def __init__(self, file: Path, keys: Mapping[str, Any]) -> None:
        """Raises InputError naming the file and what is wrong with it."""
        self.file, self.base = file, file.parent
        self.declared = parse(VectorDeclaration, keys, f"key of {file.name}")
        self.info = self._info()  # type: ignore[misc]

    def sources(self, root: Path | None) -> list[Path]:
        """The declaration and the files that it names."""
        told = self.declared
        named = [self.base / name for name in (told.features, told.labels, told.split) if name]
        for path in named:
            if not path.is_file():
                where = f"named in {self.file.name}"
                raise InputError(f"data set {self.file.stem!r}: no file {str(path)!r} ({where})")
        return [self.file, *named]

    def decode(self, root: Path | None) -> Decoded:
        """Every vector, checked: float32 in a file without a name, or as they lie in a `.npy` file of floats."""
        pieces = self._vectors
        n, width = sum(len(rows) for _, rows in pieces), pieces[0][1].shape[1]
        half = all(rows.dtype == np.float16 for _, rows in pieces)
        out = _scratch((n, width), np.float16 if half else np.float32)
        at = 0
        for _, rows in pieces:
            with one_line(self.base / self.declared.features):
                for start, block in rows.blocks():
                    with np.errstate(over="ignore"):
                        values = block.astype(out.dtype)
                    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
                    if len(bad):
                        number = start + int(bad[0]) + 1
                        raise InputError(f"{rows.where} row {number:,} holds a value that is not finite")
                    out[at + start : at + start + len(values)] = values
            at += len(rows)
        labels, _ = self._labels()
        names = np.array([f"row {number}" for number in range(1, n + 1)])
        facts: dict[str, str | int] = {"vectors": f"{width}-d, {out.dtype}"}
        return Decoded(out, labels, names, self._parts(), facts)

    # ---- facts -----------------------------------------------------------------------------------

    def _info(self) -> DatasetInfo:
        told, name = self.declared, self.file.stem
        self.sources(None)
        pieces = self._vectors
        labels, classes = self._labels()
        parts = self._parts()
        own = set(parts or {})
        facts = {
            "name": name,
            "title": told.title or name,
            "source": told.source or f"declared in {self.file.name}",
            "classes": classes,
            "multi_label": bool((labels.sum(axis=1) != 1).any()),
            "labelled": classes != (UNLABELLED,),
            "inputs": "vectors",
            "channels": pieces[0][1].shape[1],
            "default_protocol": told.protocol or self._usual_protocol(own, classes),
            "epochs": told.epochs,
            "split_key": told.split_key or name,
        }
        return parse(DatasetInfo, facts, f"data set declared in {str(self.file)!r}")

    def _usual_protocol(self, own: set[str], classes: tuple[str, ...]) -> str:
        if classes == (UNLABELLED,):
            return "neighbours-100" + "-lists" * (own >= {"query", "train"})
        return "lists" if own >= {"query", "train"} else "multi-100-400"

    @functools.cached_property
    def _vectors(self) -> list[tuple[str, Rows]]:
        file = self.base / self.declared.features
        return vector_rows(open_arrays(file), self.declared.key, file)

    def _count(self) -> int:
        return sum(len(rows) for _, rows in self._vectors)

    # ---- labels and parts --------------------------------------------------------------------------

    def _labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """uint8 (n, classes) and the classes' names."""
        told = self.declared
        file = self.base / (told.labels or told.features)
        alone = bool(told.labels) or file.suffix.lower() != ".npy"  # an array of vectors has no labels beside
        column = _column(file, told.labels_key, LABELS, "labels") if alone else None
        if column is None and not (told.labels or told.labels_key or told.classes):
            return np.ones((self._count(), 1), dtype=np.uint8), (UNLABELLED,)
        if column is None:
            raise InputError(
                f"data set {self.file.stem!r}: {str(file)!r} holds no labels; give a file of them (--labels), or "
                "name the array (--labels-key)"
            )
        if len(column) != self._count():
            raise InputError(f"{str(file)!r} holds {len(column):,} labels for {self._count():,} vectors")
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        if column.ndim == 2:
            return self._from_columns(column, file)
        sets = _words(column, file)
        empty = next((row for row, found in enumerate(sets) if not found), None)
        if empty is not None and all(len(found) <= 1 for found in sets):
            raise InputError(f"{str(file)!r} row {empty + 1:,} has no label")
        classes = told.classes or _in_order({name for found in sets for name in found})
        number = {name: index for index, name in enumerate(classes)}
        hot = no_labels(len(sets), len(classes), file)
        for row, found in enumerate(sets):
            for name in found:
                if name not in number:
                    known = ", ".join(classes)
                    raise InputError(
                        f"{str(file)!r} row {row + 1:,} has the class {name!r}; declared: {known}"
                    )
                hot[row, number[name]] = 1
        return hot, tuple(classes)

    def _from_columns(self, column: np.ndarray, file: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        if column.dtype.kind not in "fiub" or not np.isin(column, (0, 1)).all():
            raise InputError(f"{str(file)!r}: labels of shape {column.shape} must be columns of 0 and 1")
        classes = self.declared.classes or tuple(f"class {number}" for number in range(column.shape[1]))
        if len(classes) != column.shape[1]:
            found = f"{column.shape[1]} label columns for {len(classes)} declared classes"
            raise InputError(f"{str(file)!r} has {found}")
        return column.astype(np.uint8), classes

    def _parts(self) -> dict[str, np.ndarray] | None:
        """Rows of each part: of the split file, or the two sides of an ann-benchmarks file."""
        pieces = self._vectors
        if self.declared.split:
            return self._split_file(self.base / self.declared.split)
        if len(pieces) == 1:
            return None
        found, at = {}, 0
        for part, rows in pieces:
            found[part] = np.arange(at, at + len(rows), dtype=np.int64)
            at += len(rows)
        return {**found, "train": found["database"]}

    def _split_file(self, file: Path) -> dict[str, np.ndarray]:
        column = _column(file, "", PARTS, "parts")
        if column is None or column.ndim != 1:
            raise InputError(f"{str(file)!r} holds no column of parts: a word a row, {', '.join(PART_NAMES)}")
        if len(column) != self._count():
            raise InputError(f"{str(file)!r} holds {len(column):,} parts for {self._count():,} vectors")
        allowed = ", ".join(PART_NAMES)
        found: dict[str, list[int]] = {}
        for row, words in enumerate(_words(column, file)):
            for word in words:
                if word.lower() not in PART_NAMES:
                    raise InputError(
                        f"{str(file)!r} row {row + 1:,} has the part {word!r}; allowed: {allowed}"
                    )
                found.setdefault(PART_NAMES[word.lower()], []).append(row)
        return {part: np.array(rows, dtype=np.int64) for part, rows in found.items()}


def _column(file: Path, key: str, usual: tuple[str, ...], what: str) -> np.ndarray | None:
    """A value, or 0/1 values, for each row of a file of arrays or of text; None when it has none."""
    if file.suffix.lower() in SUFFIXES:
        found = pick(open_arrays(file), key, usual, file, what)
        with one_line(file):
            return None if found is None else found.whole()
    if file.suffix.lower() not in (".txt", ".csv", ".tsv"):
        raise InputError(f"{str(file)!r} must end with .txt, .csv, .tsv or one of {', '.join(SUFFIXES)}")
    lines = read_text(file, f"file of {what}").split("\n")
    cells = [line.strip() for line in lines]
    while cells and not cells[-1]:
        cells.pop()
    if cells and cells[0].lower() in usual:  # a header
        cells = cells[1:]
    return np.array(cells, dtype=object)


def _words(column: np.ndarray, file: Path) -> list[tuple[str, ...]]:
    """The words of each cell: numbers as whole numbers, text split at `;`."""
    if column.dtype.kind == "f":
        whole = np.isfinite(column) & (column == np.floor(column))
        if not whole.all():
            raise InputError(f"{str(file)!r} row {int(np.flatnonzero(~whole)[0]) + 1:,} is no class index")
        column = column.astype(np.int64)
    if column.dtype.kind in "iub":
        return [(str(int(value)),) for value in column]
    found = []
    for value in column:
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        parts = (part.strip() for part in text.split(_SEPARATOR))
        found.append(tuple(dict.fromkeys(part for part in parts if part)))
    return found


def _in_order(names: set[str]) -> tuple[str, ...]:
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=int if whole else None))  # type: ignore[arg-type]


def _scratch(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    """Room for vectors in a file that goes when it is no longer used: memory is not held by them."""
    with tempfile.TemporaryFile(prefix="vectors-") as file:
        file.truncate(max(1, shape[0] * shape[1] * np.dtype(dtype).itemsize))
        return np.memmap(file, dtype=dtype, mode="r+", shape=shape)
