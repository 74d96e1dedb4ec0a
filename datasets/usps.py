"""USPS in the libsvm text files (bzip2) that torchvision downloads."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._files import first_file, join_parts, require_root
from benchmark.errors import InputError

_WANTED = "USPS/usps.bz2 and USPS/usps.t.bz2 (or both directly in the data folder)"
_PARTS = {"train": "usps.bz2", "test": "usps.t.bz2"}
#: 7,291 lines of about 2.5 kB are 18 MB; a file that unpacks to more is not this data set.
MAX_TEXT_BYTES = 256 * 2**20
_PIXELS = 256


class USPS(HashDataset):
    """9,298 scanned digits of postal codes, 16x16: train (7,291), then test (2,007)."""

    info = DatasetInfo(
        name="usps",
        title="USPS",
        source="Hull: A database for handwritten text recognition research, IEEE TPAMI 1994",
        classes=tuple("0123456789"),
        channels=1,
        height=16,
        width=16,
        default_protocol="balanced-100-500",
        epochs=20,
        crop_padding=1,
        split_key="usps",
        subject="handwritten digits",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The two files."""
        folder = require_root(self.info.name, root, ".", _WANTED)
        return [
            first_file(folder, [f"{place}{name}" for place in ("USPS/", "usps/", "")], self.info.name)
            for name in _PARTS.values()
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read lines `label 1:value ... 256:value`: labels from 1 (the digit 0), values from -1 to 1."""
        parts = zip(_PARTS, self.sources(root), strict=True)
        return join_parts(((part, *_read(path), path) for part, path in parts), len(self.info.classes))

    def prepare(self, root: Path | None) -> None:
        """Download both files with torchvision's addresses and MD5 sums."""
        from torchvision.datasets import USPS as Source

        remotes = [
            Remote((url,), f"USPS/{name}", md5)
            for url, name, md5 in (Source.split_list[part] for part in _PARTS)
        ]
        fetch_all(self.info.name, root, remotes, _WANTED)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with bz2.open(path) as file:
            text = file.read(MAX_TEXT_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(f"{str(path)!r} unpacks to more than {MAX_TEXT_BYTES:,} bytes")
    lines = text.splitlines()
    values = np.zeros((len(lines), _PIXELS), dtype=np.float32)
    digits = np.zeros(len(lines), dtype=np.int64)
    for number, line in enumerate(lines):
        try:
            label, *fields = line.split()
            digits[number] = int(float(label)) - 1
            places, given = np.array([field.split(b":") for field in fields], dtype=np.float64).T
            values[number, places.astype(np.int64) - 1] = given
        except (ValueError, IndexError):
            raise InputError(f"{str(path)!r} line {number + 1} is no `label index:value ...` line") from None
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 1:
        raise InputError(f"{str(path)!r} holds values outside -1 to 1")
    return ((values + 1) / 2 * 255).astype(np.uint8).reshape(-1, 1, 16, 16), digits
