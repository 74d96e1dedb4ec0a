"""CIFAR-10 in torchvision's folder layout: the `python` batches, or the `binary` ones."""

from __future__ import annotations

from benchmark.contracts import CorruptedFiles, DatasetInfo
from benchmark.datasets._cifar import CIFAR

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CIFAR10(CIFAR):
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
        images=60_000,
        subject="objects",
        # Patrini et al.: Making deep neural networks robust to label noise: a loss correction approach, CVPR 2017:
        # truck to automobile, bird to airplane, deer to horse, cat and dog to each other.
        confusions=((9, 1), (2, 0), (4, 7), (3, 5), (5, 3)),
        corrupted=CorruptedFiles(folder="CIFAR-10-C", part="test_batch", images=10_000),
    )
    stems = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    python_folder = "cifar-10-batches-py"
    binary_folder = "cifar-10-batches-bin"
    archives = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")
    torchvision = "CIFAR10"
