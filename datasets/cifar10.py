"""CIFAR-10 in torchvision's folder layout: the `python` batches, or the `binary` ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.errors import InputError
from datasets._archives import unpack
from datasets._files import download, first_existing, one_hot, read_cifar_batch, require_root

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_WANTED = "cifar-10-batches-py (data_batch_1 to 5 and test_batch) or cifar-10-batches-bin (the same as .bin)"


class CIFAR10(HashDataset):
    """60,000 colour images, 32x32: data_batch_1 to 5, then test_batch."""

    info = DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        source="Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        classes=CLASSES,
        channels=3,
        height=32,
        width=32,
        default_protocol="cifar10-59k",
        epochs=20,
        crop_padding=4,
        flip=True,
        split_key="cifar10",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The six batch files, python or binary."""
        folder = require_root(self.info.name, root, ".", _WANTED)
        stems = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
        if not any((folder / f"cifar-10-batches-{kind}").is_dir() for kind in ("py", "bin")):
            raise InputError(
                f"data set 'cifar10': no folder {str(folder / 'cifar-10-batches-py')!r}; put {_WANTED}"
            )
        return [
            first_existing(
                [folder / "cifar-10-batches-py" / stem, folder / "cifar-10-batches-bin" / f"{stem}.bin"],
                self.info.name,
            )
            for stem in stems
        ]

    def decode(self, root: Path | None) -> Decoded:
        """Read the batches in order."""
        images, labels, names = [], [], []
        for path in self.sources(root):
            pixels, classes = _read_binary(path) if path.suffix == ".bin" else read_cifar_batch(path)
            images.append(pixels)
            labels.append(one_hot(classes, 10, path))
            names += [f"{path.stem}/{index:05d}" for index in range(len(pixels))]
        return Decoded(np.concatenate(images), np.concatenate(labels), np.array(names))

    def prepare(self, root: Path | None) -> None:
        """Unpack an archive that is there already, or download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import CIFAR10 as Source

        for name in ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"):
            if root is not None and (root / name).is_file():
                unpack(root / name, root)
                return
        download(self.info.name, root, lambda folder: Source(str(folder), download=True), _WANTED)


def _read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % 3073:
        raise InputError(f"{str(path)!r} is truncated: {raw.size} bytes is no multiple of 3073")
    rows = raw.reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)
