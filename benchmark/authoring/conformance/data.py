"""Tiny separable data for the checks: four of scikit-learn's handwritten digits at 16 px, no download."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmark.contracts import VECTORS, HashData, Task

#: The digits used, chosen because even raw pixels tell them apart; and images of each.
DIGITS, TRAIN, TEST = (0, 1, 4, 6), 40, 25


@dataclass(frozen=True)
class TinySet:
    """Training and test images uint8 (n, 1, 16, 16) with their classes int64 (n,)."""

    train_images: Tensor
    train_classes: Tensor
    test_images: Tensor
    test_classes: Tensor


@functools.cache
def tiny_set() -> TinySet:
    """The images, the same on every machine."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    images = torch.nn.functional.interpolate(images, size=(16, 16), mode="bilinear", align_corners=False)
    images = images.round().clamp(0, 255).to(torch.uint8)
    classes = torch.from_numpy(digits.target).long()
    rows = torch.stack([(classes == digit).nonzero()[: TRAIN + TEST, 0] for digit in DIGITS])
    train, test = rows[:, :TRAIN].T.flatten(), rows[:, TRAIN:].T.flatten()
    place = torch.full((10,), -1).scatter_(0, torch.tensor(DIGITS), torch.arange(len(DIGITS)))
    return TinySet(images[train], place[classes[train]], images[test], place[classes[test]])


def task(bits: int, multi_label: bool = False) -> Task:
    """The tiny task with a number of bits."""
    return Task(bits=bits, classes=len(DIGITS), channels=1, height=16, width=16, multi_label=multi_label)


def single(bits: int, labelled_per_class: int = TRAIN) -> HashData:
    """One-hot training data; images beyond `labelled_per_class` lose their label."""
    data = tiny_set()
    count = labelled_per_class * len(DIGITS)  # classes take turns, so a prefix is balanced
    labels = torch.nn.functional.one_hot(data.train_classes, len(DIGITS)).to(torch.uint8)
    images = data.train_images.clone()
    return HashData(task(bits), images[:count], labels[:count], images[count:], crop_padding=1)


def multi(bits: int) -> HashData:
    """Multi-hot training data: each image carries one or two labels, so soft and hard pairs both occur."""
    data = single(bits)
    second = torch.roll(data.labels, 1, dims=1)
    second[::2] = 0
    return HashData(task(bits, multi_label=True), data.images, data.labels | second, data.unlabelled)


def as_vectors(data: HashData) -> HashData:
    """The same data as vectors of their pixels; data that are vectors stay as they are."""
    if data.task.inputs == "vectors":
        return data
    size = data.images[0].numel()
    small = replace(data.task, inputs="vectors", channels=size, height=1, width=1, backbone=VECTORS)
    images, unlabelled = (part.flatten(1).float() for part in (data.images, data.unlabelled))
    return replace(data, task=small, images=images, unlabelled=unlabelled, crop_padding=0)
