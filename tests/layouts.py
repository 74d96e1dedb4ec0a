"""Small files in the real layouts of the public data sets, made by the tests."""

from __future__ import annotations

import bz2
import json
import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int, size: tuple[int, int] = (20, 30)) -> Path:
    """A JPEG or PNG of noise, (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def lines(path: Path, content: Iterable[object], end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in content).encode())
    return path


def make_cifar100(root: Path, kind: str) -> Path:
    rng = np.random.default_rng(0)
    for stem, n in (("train", 30), ("test", 10)):
        data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        fine, coarse = np.arange(n, dtype=np.uint8) * 3, np.arange(n, dtype=np.uint8) % 20
        if kind == "py":
            folder = root / "cifar-100-python"
            folder.mkdir(parents=True, exist_ok=True)
            content = {b"data": data, b"fine_labels": fine.tolist(), b"coarse_labels": coarse.tolist()}
            (folder / stem).write_bytes(pickle.dumps(content, protocol=2))
        else:
            folder = root / "cifar-100-binary"
            folder.mkdir(parents=True, exist_ok=True)
            rows = np.concatenate([coarse[:, None], fine[:, None], data], axis=1)
            (folder / f"{stem}.bin").write_bytes(rows.tobytes())
    return root


def make_svhn(root: Path) -> Path:
    from scipy.io import savemat

    (root / "SVHN").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("test", 8)):
        pixels = rng.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        digits = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
        savemat(root / "SVHN" / f"{part}_32x32.mat", {"X": pixels, "y": digits})
    return root


def make_usps(root: Path) -> Path:
    (root / "USPS").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n in (("usps.bz2", 12), ("usps.t.bz2", 8)):
        text = ""
        for row in range(n):
            values = rng.integers(-10, 11, 256) / 10
            fields = " ".join(f"{index + 1}:{value:.4f}" for index, value in enumerate(values))
            text += f"{row % 10 + 1} {fields} \n"
        (root / "USPS" / name).write_bytes(bz2.compress(text.encode()))
    return root


def make_stl10(root: Path) -> Path:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", 4), ("test", 3)):
        images = rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8)
        (folder / f"{part}_X.bin").write_bytes(images.tobytes())
        (folder / f"{part}_y.bin").write_bytes(bytes(range(1, n + 1)))
    return root


def make_coco(root: Path, year: str = "2014") -> Path:
    from benchmark.datasets.coco import CATEGORIES

    folder = root / "coco"
    categories = [{"id": number * 2 + 1, "name": name} for number, name in enumerate(CATEGORIES)]
    for part, ids in (("train", (9, 3, 7)), ("val", (4, 8))):
        images = []
        for number in ids:
            stem = f"COCO_{part}2014_{number:012d}" if year == "2014" else f"{number:012d}"
            picture(folder / f"{part}{year}" / f"{stem}.jpg", number)
            images.append({"id": number, "file_name": f"{stem}.jpg", "height": 30, "width": 20})
        annotated = [number for number in ids if number != 7]  # 7 has no category
        annotations = [
            {"id": place, "image_id": number, "category_id": categories[column]["id"]}
            for place, (number, column) in enumerate(
                (one, c) for one in annotated for c in (one, one + 10, one)
            )
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        file = folder / "annotations" / f"instances_{part}{year}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return root


def make_nuswide(root: Path, place: str = "images") -> Path:
    from benchmark.datasets.nuswide import CONCEPTS

    folder = root / "NUS-WIDE"
    names = [f"actor\\{number:04d}_{number}.jpg" for number in range(6)]
    lines(folder / "ImageList" / "Imagelist.txt", names, end="\r\n")
    for column, concept in enumerate(CONCEPTS):
        # Image n has concepts n and n + 1; image 5 has none at all.
        truth = [int(number < 5 and column in (number, number + 1)) for number in range(6)]
        lines(folder / "Groundtruth" / "AllLabels" / f"Labels_{concept}.txt", truth)
    for number in range(6):
        inside = f"actor/{number:04d}_{number}.jpg" if place == "Flickr" else f"{number:04d}_{number}.jpg"
        picture(folder / place / inside, number)
    return root


def make_mirflickr(root: Path) -> Path:
    from benchmark.datasets.mirflickr import LABELS

    for number in (1, 2, 3, 10):
        picture(root / "mirflickr" / f"im{number}.jpg", number)
    members = {"animals": [1, 10], "baby_r1": [2], "sky": [2, 10]}
    for label in LABELS:
        lines(root / "mirflickr" / "mirflickr25k_annotations_v080" / f"{label}.txt", members.get(label, []))
    return root


def make_voc(root: Path, *, xml: bool) -> Path:
    from benchmark.datasets.voc2012 import CLASSES

    folder = root / "VOCdevkit" / "VOC2012"
    names = ["2008_000002", "2008_000003", "2008_000007"]
    present = {
        "2008_000002": {"dog": 0, "cat": 1},
        "2008_000003": {"dog": 0, "person": 0},
        "2008_000007": {"sofa": 1},
    }
    for number, name in enumerate(names):
        picture(folder / "JPEGImages" / f"{name}.jpg", number)
        objects = "".join(
            f"<object><name>{label}</name><difficult>{hard}</difficult></object>"
            for label, hard in present[name].items()
        )
        lines(folder / "Annotations" / f"{name}.xml", [f"<annotation>{objects}</annotation>"])
    lines(folder / "ImageSets" / "Main" / "trainval.txt", names)
    if not xml:
        for label in CLASSES:
            code = {None: "-1", 0: " 1", 1: " 0"}
            content = [f"{name} {code[present[name].get(label)]}" for name in names]
            lines(folder / "ImageSets" / "Main" / f"{label}_trainval.txt", content)
    return root


def make_imagenet100(root: Path, classes: int = 100) -> Path:
    for number in range(classes):
        for part, count in (("train", 2), ("val", 1)):
            for index in range(count):
                name = f"n{number:08d}"
                file = root / "imagenet100" / part / name / f"{name}_{index}.JPEG"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (4, 4), (number, index, 0)).save(file)
    return root
