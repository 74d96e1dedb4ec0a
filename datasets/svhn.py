"""SVHN, cropped digits, in the publisher's MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._download import Remote, fetch_all
from benchmark.datasets._files import first_file, join_parts, require_root
from benchmark.errors import InputError

_WANTED = "SVHN/train_32x32.mat and SVHN/test_32x32.mat (or both directly in the data folder)"
_PARTS = ("train", "test")


class SVHN(HashDataset):
    """99,289 house-number digits, 32x32: train (73,257), then test (26,032); `extra` is not read."""

    info = DatasetInfo(
        name="svhn",
        title="SVHN",
        source="Netzer et al.: Reading digits in natural images with unsupervised feature learning, 2011",
        classes=tuple("0123456789"),
        channels=3,
        height=32,
        width=32,
        default_protocol="balanced-100-500",
        epochs=20,
        crop_padding=4,
        split_key="svhn",
        subject="house numbers",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The two files."""
        folder = require_root(self.info.name, root, ".", _WANTED)
        return [
            first_file(
                folder, [f"{place}{part}_32x32.mat" for place in ("SVHN/", "svhn/", "")], self.info.name
            )
            for part in _PARTS
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read `X` (32, 32, 3, n) and `y` (n, 1), where 10 stands for the digit 0."""
        parts = zip(_PARTS, self.sources(root), strict=True)
        return join_parts(((part, *_read(path), path) for part, path in parts), len(self.info.classes))

    def prepare(self, root: Path | None) -> None:
        """Download both files with torchvision's addresses and MD5 sums."""
        from torchvision.datasets import SVHN as Source

        remotes = [
            Remote((url,), f"SVHN/{name}", md5)
            for url, name, md5 in (Source.split_list[part] for part in _PARTS)
        ]
        fetch_all(self.info.name, root, remotes, _WANTED)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("X", "y"))
        pixels, digits = content["X"], content["y"].reshape(-1).astype(np.int64)
    except Exception as error:  # noqa: BLE001 - the reader fails in many ways on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{str(path)!r} is no readable SVHN file: {reason}") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape != (32, 32, 3, len(digits)):
        raise InputError(
            f"{str(path)!r}: X must be uint8 (32, 32, 3, n) for n labels, found {pixels.dtype} {pixels.shape}"
        )
    if digits.size and (digits.min() < 1 or digits.max() > 10):
        raise InputError(
            f"{str(path)!r} holds label {digits[(digits < 1) | (digits > 10)][0]}; allowed: 1 to 10"
        )
    return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), digits % 10
