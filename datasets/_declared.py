"""Data sets that a user declares in a TOML file of the data folder: class folders, list files, or a table.

`<data folder>/my-set.toml` makes the name `my-set` known; paths in it are relative to the file. No code is written
and no path enters a result: what is measured is identified by pixels, labels and parts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import DatasetInfo, HashDataset, ImageDataset, ImageFiles, Origins, PathsBelow, Shelf
from benchmark.datasets._declaration import Declaration, read_keys
from benchmark.datasets._files import (
    IMAGE_SUFFIXES,
    class_folder_names,
    class_folders,
    describe_unused,
    one_hot,
)
from benchmark.datasets._kept import Facts, Kept
from benchmark.datasets._lists import ListFile, Resolver, listed_files, read_list, renumbered
from benchmark.datasets._paths import unlike_a_path
from benchmark.datasets._table_labels import class_names, label_sets, part_rows
from benchmark.datasets._tables import Columns, Table, columns_of, read_table
from benchmark.datasets._vectors import VectorDataset
from benchmark.errors import InputError
from benchmark.spec import parse


class DeclaredDataset(ImageDataset):
    """A data set that a TOML file declares; `info` belongs to the instance."""

    def __init__(self, file: Path, keys: Mapping[str, Any], shelf: Shelf | None = None) -> None:
        """shelf: where a long list or table is kept. Raises InputError naming the file and what is wrong."""
        self.file = file
        self.declared = told = parse(Declaration, keys, f"key of {file.name}")
        self.base = file.parent
        facts = not told.classes or told.multi_label is None or (told.kind == "table" and not told.protocol)
        asked = {**told.model_dump(), "facts": facts}
        self._kept = shelf and Kept(shelf, asked, self._documents(), self.base / told.folder)
        self._key = self._kept.key() if self._kept else ""  # before anything is read
        if (kept := self._kept and self._kept.read(self._key)) is not None:
            self._facts = kept[0]
        else:
            facts_of = {"folder": self._folder_facts, "lists": self._list_facts, "table": self._table_facts}
            self._facts = Facts(*facts_of[told.kind]()) if facts else Facts(parts=frozenset(told.parts))
        self.info = self._info()  # type: ignore[misc]
        self.fit = self.declared.fit  # type: ignore[misc]
        self.zoom = self.declared.zoom  # type: ignore[misc]

    def sources(self, root: Path | None) -> list[Path]:
        """The declaration, the lists or the table, and every image."""
        return [*self.documents(root), *self.files(root).paths]

    def documents(self, root: Path | None) -> list[Path]:
        """The declaration, and the lists or the table."""
        return [self.file, *self._documents()]

    def files(self, root: Path | None) -> ImageFiles:
        """The image files as declared. Raises InputError with file and line for what is malformed."""
        if (kept := self._kept and self._kept.read()) is not None:
            return kept[1]()
        begun = time.time_ns()
        reader = {"folder": self._from_folders, "lists": self._from_lists, "table": self._from_table}
        found = reader[self.declared.kind]()
        if not self.info.multi_label and (found.labels.sum(axis=1) != 1).any():
            row = int(np.flatnonzero(found.labels.sum(axis=1) != 1)[0])
            where = found.origins[row] if found.origins else str(found.names[row])
            raise InputError(
                f"data set {self.info.name!r}: {where} has {int(found.labels[row].sum())} labels; "
                "a set with one a image was declared (multi_label = false)"
            )
        if self._kept and self._key and not self._resolver.missing:
            self._kept.write(self._key, begun, self._facts, found, self._resolver.looked)
        return found

    # ---- facts -----------------------------------------------------------------------------------

    def _info(self) -> DatasetInfo:
        told, name, found = self.declared, self.file.stem, self._facts
        classes = told.classes or found.classes
        multi = told.multi_label if told.multi_label is not None else found.several
        height, width = told.pixels
        facts = {
            "name": name,
            "title": told.title or name,
            "source": told.source or f"declared in {self.file.name}",
            "classes": classes,
            "multi_label": multi,
            "channels": told.channels,
            "height": height,
            "width": width,
            "default_protocol": told.protocol
            or ("lists" if found.parts >= {"query", "train"} else "multi-100-400"),
            "epochs": told.epochs,
            "crop_padding": told.crop_padding,
            "flip": told.flip,
            "split_key": name,
        }
        return parse(DatasetInfo, facts, f"data set declared in {str(self.file)!r}")

    def _folder_facts(self) -> tuple[tuple[str, ...], bool, frozenset[str]]:
        """The names of the classes, whether an image may have several, and the parts."""
        names = () if self.declared.classes else self._folder_classes()
        return names, False, frozenset(self.declared.parts)

    def _list_facts(self) -> tuple[tuple[str, ...], bool, frozenset[str]]:
        lists = self._lists()
        several = any(one.columns > 1 and bool((one.fields.sum(axis=1) != 1).any()) for one in lists.values())
        names = () if self.declared.classes else renumbered(lists)[1]
        return names, several, frozenset(self.declared.parts)

    def _table_facts(self) -> tuple[tuple[str, ...], bool, frozenset[str]]:
        table, columns = self._table()
        labels = label_sets(table, columns, self.declared.separator)
        parts = part_rows(table, columns, np.arange(len(table.lines)))
        return class_names(columns, labels), labels.several, frozenset(parts)

    # ---- folders ---------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        folder = self.base / self.declared.folder
        if not folder.is_dir():
            raise InputError(
                f"data set {self.file.stem!r}: no folder {str(folder)!r} (named in {self.file.name})"
            )
        return folder

    def _folder_classes(self) -> tuple[str, ...]:
        places = [self._folder / sub for sub in self.declared.parts.values()] or [self._folder]
        return tuple(sorted({name for place in places for name in class_folders(place)}))

    def _from_folders(self) -> ImageFiles:
        names: list[str] = []
        labels: list[int] = []
        parts: dict[str, np.ndarray] = {}
        unused: Counter[str] = Counter()
        for part, sub in (self.declared.parts or {"": ""}).items():
            inside = (self._folder / sub).relative_to(self._folder).as_posix()
            found = class_folder_names(self._folder / sub, self.info.classes, IMAGE_SUFFIXES, unused)
            parts[part] = np.arange(len(names), len(names) + len(found))
            names += [name if inside == "." else f"{inside}/{name}" for name, _ in found]
            labels += [label for _, label in found]
        hot = one_hot(np.array(labels), len(self.info.classes), self._folder)
        facts = {"unused": describe_unused(unused)} if unused else {}
        paths = PathsBelow(self._folder, names)
        return ImageFiles(paths, hot, np.array(names), parts if "" not in parts else None, facts)

    # ---- lists -----------------------------------------------------------------------------------

    def _documents(self) -> list[Path]:
        told = self.declared
        named = [told.table, told.images, *(told.parts.values() if told.kind == "lists" else ())]
        return [self.base / name for name in named if name]

    def _lists(self) -> dict[str, ListFile]:
        told = self.declared
        named = {"all": told.images} if told.images else told.parts
        columns: int | None = None
        found: dict[str, ListFile] = {}
        for part, name in named.items():
            found[part] = read_list(self.base / name, columns)
            columns = found[part].columns
        return found

    def _from_lists(self) -> ImageFiles:
        lists = self._lists()
        if not self.declared.classes:  # else an index is a place among them
            lists = renumbered(lists)[0]
        self._resolver = Resolver(self._folder)
        return listed_files(lists, len(self.info.classes), self._resolver, self.declared.duplicates)

    # ---- tables ----------------------------------------------------------------------------------

    def _table(self) -> tuple[Table, Columns]:
        told = self.declared
        table = read_table(self.base / told.table)
        return table, columns_of(table, told.path, told.labels, told.part)

    def _from_table(self) -> ImageFiles:
        table, columns = self._table()
        cells = table.column(columns.path)
        for line, cell in enumerate(cells):
            if not cell or (wrong := unlike_a_path(cell)):
                raise InputError(f"{table.where(line)} {wrong if cell else 'has no path'}")
        self._resolver = Resolver(self._folder)
        found = self._resolver.find(cells)
        row_of = {name: row for row, name in enumerate(dict.fromkeys(found.names))}
        rows = np.fromiter(map(row_of.__getitem__, found.names), np.int64, len(cells))
        lines = np.unique(rows, return_index=True)[1]  # the first of each image
        if len(lines) < len(rows) and self.declared.duplicates == "refuse":
            again = int(np.setdiff1d(np.arange(len(rows)), lines)[0])
            first = table.where(int(lines[rows[again]]))
            raise InputError(f"{table.where(again)} repeats image {found.names[again]!r} of {first}")
        labels = label_sets(table, columns, self.declared.separator)
        number = {name: index for index, name in enumerate(self.info.classes)}
        if (row := labels.first(lambda names: not number.keys() >= set(names), lines)) is not None:
            line, known = int(lines[row]), ", ".join(self.info.classes)
            name = next(name for name in labels.sets[labels.codes[line]] if name not in number)
            raise InputError(f"{table.where(line)} has the class {name[:40]!r}; declared: {known}")
        names, note = list(row_of), found.note(self.declared.table)
        return ImageFiles(
            PathsBelow(found.files.folder, names),
            labels.hot(number, lines, table.file),
            np.array(names),
            part_rows(table, columns, rows) or None,
            origins=Origins((table.file.name, np.asarray(table.lines)[lines].tolist())),
            facts={"paths": note} if note else {},
        )


def open_declaration(
    file: Path, keys: Mapping[str, Any] | None = None, shelf: Shelf | None = None
) -> HashDataset:
    """The data set that a file declares; `keys` stand for the content of a file that is not written yet.

    shelf: where a long list or table is kept for the next process. Raises InputError naming the file and what is
    wrong with it.
    """
    told = read_keys(file) if keys is None else keys
    return VectorDataset(file, told) if told.get("kind") == "vectors" else DeclaredDataset(file, told, shelf)
