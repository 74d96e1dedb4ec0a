"""What is to be encoded, in blocks: a folder of images, a file of vectors, or a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmark import registry
from benchmark.contracts import ImageFiles
from benchmark.data.decode import Bad, blocks, refuse
from benchmark.data.load import load
from benchmark.data.view_images import converted
from benchmark.datasets._files import IMAGE_SUFFIXES
from benchmark.datasets._vector_files import open_arrays, pick, vector_rows
from benchmark.errors import InputError
from benchmark.fit.evaluator import ENCODE_BATCH
from benchmark.use.model import Encoder


@dataclass
class Source:
    """Items to encode. total: how many there may be; names and labels: of those that were read, once they were.

    blocks: uint8 images in the fit's size, or float32 vectors, `ENCODE_BATCH` or fewer at a time.
    """

    total: int
    blocks: Iterator[np.ndarray]
    names: list[str] = field(default_factory=list)
    labels: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    vectors: bool = False


def image_paths(folder: Path) -> list[str]:
    """The image files below a folder by their names relative to it, with `/`, sorted; hidden ones are left out."""
    if not folder.is_dir():
        raise InputError(f"no folder {str(folder)!r}: give a folder of images")
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder)
        found += [
            (inside / name).as_posix()
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ]
    if not found:
        raise InputError(f"folder {str(folder)!r} holds no image ({', '.join(IMAGE_SUFFIXES[:5])}, ...)")
    return sorted(found)


def of_images(encoder: Encoder, folder: Path, names: list[str], skip_bad: bool = False) -> Source:
    """Image files below a folder, decoded and resized as the fit's data set was.

    Images that cannot be read are all found, then refused in one line, or left out with `skip_bad`.
    """
    target = encoder.target
    if target is None:
        raise InputError(f"fit {encoder.record.fit_id} learnt from vectors: give --features FILE, not images")
    files = ImageFiles([folder / name for name in names], np.empty((len(names), 0)), np.array(names))
    bad: list[Bad] = []

    def read() -> Iterator[np.ndarray]:
        held: list[np.ndarray] = []
        done = 0
        for block in blocks(files, target, folder.name):
            gone = {each.row for each in block.bad}
            source.names += [names[row] for row in range(done, done + len(block.seen)) if row not in gone]
            done += len(block.seen)
            bad.extend(block.bad)
            if bad and not skip_bad:
                continue  # only to find the others
            held.append(block.images)
            if sum(map(len, held)) >= ENCODE_BATCH:
                whole = np.concatenate(held)
                yield whole[:ENCODE_BATCH]
                held = [whole[ENCODE_BATCH:]]
        if bad and not skip_bad:
            raise refuse(str(folder), bad, len(names), "folder")
        if bad:
            source.notes.append(f"{len(bad):,} images are left out, first {bad[0].reason}")
        rest = np.concatenate(held) if held else np.empty((0,))
        if len(rest):
            yield rest
        if not source.names:
            raise InputError(f"folder {str(folder)!r} holds no image that can be read")
        if all("/" in name for name in source.names):
            source.labels = np.array([name.split("/")[0] for name in source.names])

    source = Source(len(names), read())
    return source


def of_vectors(encoder: Encoder, file: Path, key: str = "") -> Source:
    """A file of vectors: those that a fit on vectors takes, or a frozen fit's features."""
    frozen = encoder.record.spec.frozen
    if encoder.target is not None and not frozen:
        raise InputError(f"fit {encoder.record.fit_id} learnt from images: give --images DIR, not --features")
    arrays = open_arrays(file)
    parts = vector_rows(arrays, key, file)
    total = sum(len(rows) for _, rows in parts)
    named = pick(arrays, "", ("ids", "names", "paths"), file, "ids") if "" not in arrays else None
    for _, rows in parts:
        if rows.shape[1] != encoder.width:
            raise InputError(
                f"{rows.where} has {rows.shape[1]} columns; fit {encoder.record.fit_id} takes {encoder.width}"
            )

    def read() -> Iterator[np.ndarray]:
        done = 0
        for _, rows in parts:
            for start in range(0, len(rows), ENCODE_BATCH):
                block = np.asarray(rows.read(start, min(start + ENCODE_BATCH, len(rows)))).astype(np.float32)
                broken = np.flatnonzero(~np.isfinite(block).all(axis=1))
                if len(broken):
                    raise InputError(
                        f"{rows.where}: row {start + broken[0]} holds a value that is not finite"
                    )
                source.names += [str(number) for number in range(done, done + len(block))]
                done += len(block)
                yield block
        if named is not None and named.shape == (total,):
            source.names = [str(name) for name in named.whole()]

    source = Source(total, read(), vectors=True)
    return source


def of_dataset(encoder: Encoder, name: str, root: Path | None) -> Source:
    """A data set by name; images of another size or number of channels are brought to the fit's."""
    data = load(registry.dataset(name, root), root)
    if data.info.inputs != encoder.info.inputs:
        raise InputError(f"data set {name!r} holds {data.info.inputs}; the fit takes {encoder.info.inputs}")

    def read() -> Iterator[np.ndarray]:
        for start in range(0, len(data.images), ENCODE_BATCH):
            block = np.array(data.images[start : start + ENCODE_BATCH])
            if data.info.inputs == "images":
                block = converted(torch.from_numpy(block), encoder.info).numpy()
            yield block

    single = not data.info.multi_label
    labels = np.array(data.info.classes)[data.labels.argmax(axis=1)] if single else data.labels
    if not data.labels.any():
        labels = None
    return Source(len(data.images), read(), [str(one) for one in data.names], labels)
