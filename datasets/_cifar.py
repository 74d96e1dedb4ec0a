"""Both layouts of the CIFAR data sets: `python` batches and `binary` ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.contracts import Decoded, HashDataset
from benchmark.datasets._archives import unpack
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._files import first_existing, join_parts, read_cifar_batch, require_root
from benchmark.errors import InputError

PIXELS = 3072


class CIFAR(HashDataset):
    """A CIFAR data set: `stems` name its files, `<prefix>-py*` and `<prefix>-bin*` its two folders."""

    stems: ClassVar[Sequence[str]]
    python_folder: ClassVar[str]
    binary_folder: ClassVar[str]
    archives: ClassVar[Sequence[str]]
    torchvision: ClassVar[str]
    label_key: ClassVar[str] = "labels"
    #: Label bytes in front of an image in the binary files; the last one counts.
    label_bytes: ClassVar[int] = 1

    @classmethod
    def wanted(cls) -> str:
        """The files, in words."""
        return f"{cls.python_folder} ({cls.stems[0]} to {cls.stems[-1]}) or {cls.binary_folder} (the same as .bin)"

    def sources(self, root: Path | None) -> list[Path]:
        """The batch files, python or binary."""
        folder = require_root(self.info.name, root, ".", self.wanted())
        python, binary = folder / self.python_folder, folder / self.binary_folder
        if not python.is_dir() and not binary.is_dir():
            raise InputError(
                f"data set {self.info.name!r}: no folder {str(python)!r}; put {self.wanted()} there"
            )
        return [
            first_existing([python / stem, binary / f"{stem}.bin"], self.info.name) for stem in self.stems
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read the batches in order."""
        files = self.sources(root)
        return join_parts(((path.stem, *self._read(path), path) for path in files), len(self.info.classes))

    def prepare(self, root: Path | None) -> None:
        """Unpack an archive that is there already, or download it with torchvision's address and MD5 sum."""
        from torchvision import datasets as source

        facts = getattr(source, self.torchvision)
        there = [root / name for name in self.archives if root is not None and (root / name).is_file()]
        if not there:
            remote = Remote((facts.url,), facts.filename, facts.tgz_md5)
            there = fetch_all(self.info.name, root, [remote], self.wanted())
        unpack(there[0], there[0].parent)

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        return self._read_binary(path) if path.suffix == ".bin" else read_cifar_batch(path, self.label_key)

    def _read_binary(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        raw = np.fromfile(path, dtype=np.uint8)
        width = self.label_bytes + PIXELS
        if raw.size == 0 or raw.size % width:
            raise InputError(f"{str(path)!r} is truncated: {raw.size} bytes is no multiple of {width}")
        rows = raw.reshape(-1, width)
        images = rows[:, self.label_bytes :].reshape(-1, 3, 32, 32)
        return images, rows[:, self.label_bytes - 1].astype(np.int64)
