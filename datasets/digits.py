"""digits: the 1,797 handwritten digits that ship with scikit-learn, so nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from benchmark.contracts import DatasetInfo, Decoded, HashDataset
from benchmark.datasets._files import one_hot
from benchmark.errors import InputError


class Digits(HashDataset):
    """8x8 images with 17 grey levels, upsampled bilinearly to 16x16."""

    info = DatasetInfo(
        name="digits",
        title="digits (16 px)",
        source="scikit-learn load_digits: test part of Optical Recognition of Handwritten Digits, UCI",
        classes=tuple("0123456789"),
        channels=1,
        height=16,
        width=16,
        default_protocol="digits-20-50",
        epochs=45,
        crop_padding=1,
        split_key="digits",
        subject="handwritten digits",
    )

    def sources(self, root: Path | None) -> list[Path]:
        """The file inside scikit-learn."""
        found = importlib.util.find_spec(
            "sklearn"
        )  # importing it takes longer than all else in a repeated run
        if found is None or found.origin is None:
            raise InputError("data set 'digits' needs scikit-learn, which is not installed")
        return [Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"]

    def decode(self, root: Path | None) -> Decoded:
        """Load and upsample; grey level 16 becomes 255."""
        import torch
        from sklearn.datasets import load_digits

        digits = load_digits()
        small = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
        large = torch.nn.functional.interpolate(small, size=(16, 16), mode="bilinear", align_corners=False)
        images = large.round().clamp(0, 255).to(torch.uint8).numpy()
        names = np.array([f"digits/{index:04d}" for index in range(len(images))])
        return Decoded(images, one_hot(digits.target, 10, "digits"), names)
