"""MS-COCO, train and validation images together, from the instances JSON of 2014 or of 2017."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import ImageFiles
from benchmark.datasets._large import Photographs, photographs
from benchmark.errors import InputError

CATEGORIES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *(
        "elephant",
        "bear",
        "zebra",
        "giraffe",
        "backpack",
        "umbrella",
        "handbag",
        "tie",
        "suitcase",
        "frisbee",
    ),
    *(
        "skis",
        "snowboard",
        "sports ball",
        "kite",
        "baseball bat",
        "baseball glove",
        "skateboard",
        "surfboard",
    ),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard"),
    *("cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase"),
    *("scissors", "teddy bear", "hair drier", "toothbrush"),
)
#: The instances JSON of train2014 is below 450 MB.
MAX_JSON_BYTES = 2**30


class COCO(Photographs):
    """The 122,218 images with at least one of the 80 categories, by image id.

    The releases of 2014 and 2017 hold the same images, differently divided; their parts are not used.
    """

    info = photographs(
        "coco",
        "MS-COCO",
        "Lin et al.: Microsoft COCO: common objects in context, ECCV 2014",
        CATEGORIES,
        "coco-117k",
        images=122_218,
        notes="train and validation images together, images without a category left out",
    )
    places = ("coco", "COCO", "mscoco")
    wanted = (
        "annotations/instances_train2014.json, annotations/instances_val2014.json and the folders train2014 and "
        "val2014 (or 2017 in place of 2014)"
    )

    def sources(self, root: Path | None) -> list[Path]:
        """Both JSON files and both image folders."""
        folder = self.place(root)
        year = next(
            (
                year
                for year in ("2014", "2017")
                if (folder / "annotations" / f"instances_train{year}.json").is_file()
            ),
            "2014",
        )
        parts = [f"{part}{year}" for part in ("train", "val")]
        return [
            *(self.need(folder / "annotations" / f"instances_{part}.json") for part in parts),
            *(self.need(folder / part) for part in parts),
        ]

    def files(self, root: Path | None) -> ImageFiles:
        """The images that have a category, sorted by their ids."""
        sources = self.sources(root)
        found: dict[int, tuple[Path, np.ndarray]] = {}
        for file, images in zip(sources[:2], sources[2:], strict=True):
            found |= _read(file, images)
        if not found:
            raise InputError(f"{str(sources[0])!r} annotates no image")
        ids = sorted(found)
        return ImageFiles(
            paths=[found[number][0] for number in ids],
            labels=np.stack([found[number][1] for number in ids]),
            names=np.array([f"{number:012d}" for number in ids]),
        )


def _read(file: Path, images: Path) -> dict[int, tuple[Path, np.ndarray]]:
    """Image id to its file and its labels, uint8 (80,), for the annotated images of one JSON file."""
    content = _json(file)
    try:
        column = {int(one["id"]): _column(str(one["name"]), file) for one in content["categories"]}
        names = {int(one["id"]): Path(str(one["file_name"])).name for one in content["images"]}
        labels: dict[int, np.ndarray] = {}
        for number, one in enumerate(content["annotations"]):
            image, category = int(one["image_id"]), int(one["category_id"])
            if image not in names or category not in column:
                kind, wrong = ("image", image) if image not in names else ("category", category)
                raise InputError(
                    f"{str(file)!r}: annotation {number} names {kind} {wrong}, which is not listed"
                )
            labels.setdefault(image, np.zeros(len(CATEGORIES), dtype=np.uint8))[column[category]] = 1
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(file)!r} is no instances file: {type(error).__name__} {error}") from None
    return {image: (images / names[image], hot) for image, hot in labels.items()}


def _json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{str(file)!r} is larger than {MAX_JSON_BYTES:,} bytes")
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(file)!r} is no readable JSON file: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{str(file)!r} is no instances file: it holds no object")
    return content


def _column(name: str, file: Path) -> int:
    if name not in CATEGORIES:
        raise InputError(f"{str(file)!r} has the category {name!r}, which is none of the 80")
    return CATEGORIES.index(name)
