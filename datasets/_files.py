"""Reading other people's files safely: idx, CIFAR batches, image folders. Every failure names the file."""

from __future__ import annotations

import gzip
import io
import math
import os
import pickle
import re
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import Decoded
from benchmark.errors import InputError

#: What counts as an image in a folder of images; a file without a suffix counts by how it begins.
_USUAL = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".npy")
_OTHERS = (".jpe", ".jfif", ".jif", ".apng", ".avif", ".dib", ".pbm", ".pnm", ".jp2", ".j2k", ".tga", ".pcx")
IMAGE_SUFFIXES: tuple[str, ...] = (*_USUAL, *_OTHERS, ".sgi", ".ras", ".qoi")
_BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|BM|II\*\x00|MM\x00\*|RIFF....WEBP|....ftyp(avif|avis|mif1)"
    rb"|\x93NUMPY|P[1-6]\s|\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)

#: Largest idx payload that is believed before reading: MNIST's images are 47 MB.
MAX_IDX_BYTES = 2**30
#: Largest table of labels, a byte an image and class: ImageNet's (1,281,167 by 1,000) is 1.2 GiB.
MAX_LABEL_BYTES = 2**34


def require_root(name: str, root: Path | None, inside: str, wanted: str) -> Path:
    """The folder `root/inside`, or an InputError that says what belongs where.

    `name` is the data set's name, `wanted` describes the files.
    """
    if root is None:
        raise InputError(f"data set {name!r} needs a data folder: give --data-root or set BENCHMARK_DATA")
    if not root.is_dir():
        raise InputError(
            f"data set {name!r}: the data folder {str(root)!r} does not exist; put {wanted} into "
            f"{str(root / inside)!r}"
        )
    folder = root / inside
    if not folder.is_dir():
        raise InputError(f"data set {name!r}: no folder {str(folder)!r}; put {wanted} there")
    return folder


def first_existing(candidates: Sequence[Path], name: str) -> Path:
    """The first path that is a file, or an InputError that names them all."""
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(f"data set {name!r}: missing file {' or '.join(repr(str(p)) for p in candidates)}")


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes (MNIST's format), plain or gzipped.

    Raises InputError for a wrong magic number, or fewer or more bytes than the header announces.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:  # never more than the largest that is believed
                raw = stream.read(MAX_IDX_BYTES + 1)
        else:
            raw = path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise InputError(f"{str(path)!r} is no idx file of bytes (magic {raw[:4].hex() or 'missing'})")
    dimensions = raw[3]
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise InputError(f"{str(path)!r} is truncated inside its header")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    expected = header + math.prod(shape)
    if expected > MAX_IDX_BYTES or len(raw) != expected:
        raise InputError(
            f"{str(path)!r} is truncated or corrupt: {len(raw)} bytes, its header needs {expected}"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds numpy arrays and plain containers only: any other name in the stream is refused.

    CIFAR's `python` batches are pickles; running an arbitrary one would run its author's code.
    """

    _allowed = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which array data does not need")
        return super().find_class(module, name)


def first_file(root: Path, candidates: Sequence[str], name: str) -> Path:
    """The first of several places under the data folder that is a file, or an InputError that names them all."""
    if not root.is_dir():
        raise InputError(f"data set {name!r}: the data folder {str(root)!r} does not exist")
    return first_existing([root / candidate for candidate in candidates], name)


def read_cifar_batch(path: Path, label_key: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Read one CIFAR `python` batch: uint8 images (n, 3, 32, 32) and int64 labels (n,).

    Raises InputError for a truncated file, for one that holds anything but arrays, or for wrong shapes.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        images = np.asarray(content[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(content[label_key.encode()])
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(f"its labels are {labels.dtype} of shape {labels.shape}")
        labels = labels.astype(np.int64)
    except Exception as error:
        raise InputError(
            f"{str(path)!r} is no readable CIFAR batch: {str(error) or type(error).__name__}"
        ) from (error)
    if len(images) != len(labels):
        raise InputError(f"{str(path)!r} holds {len(images)} images but {len(labels)} labels")
    return images, labels


def one_hot(labels: np.ndarray, classes: int, source: Path | str) -> np.ndarray:
    """uint8 (n, classes) from class indices (n,). Raises InputError for an index out of range, or a fraction."""
    given = np.asarray(labels)
    with np.errstate(invalid="ignore"):  # NaN is no index either
        labels = given.astype(np.int64)
    if (labels != given).any():
        raise InputError(
            f"{str(source)!r} holds label {given[labels != given][0]}; allowed: 0 to {classes - 1}"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        bad = labels[(labels < 0) | (labels >= classes)][0]
        raise InputError(f"{str(source)!r} holds label {bad}; allowed: 0 to {classes - 1}")
    hot = no_labels(len(labels), classes, source)
    hot[np.arange(len(labels)), labels] = 1
    return hot


def no_labels(images: int, classes: int, source: Path | str) -> np.ndarray:
    """uint8 zeros (images, classes). Raises InputError for a table that no machine would hold."""
    if images * classes > MAX_LABEL_BYTES:
        raise InputError(
            f"{str(source)!r}: {images:,} images with {classes:,} classes make a label table of "
            f"{images * classes / 2**30:,.0f} GiB; allowed: {MAX_LABEL_BYTES / 2**30:.0f} GiB"
        )
    return np.zeros((images, classes), dtype=np.uint8)


def join_parts(parts: Iterable[tuple[str, np.ndarray, np.ndarray, Path]], classes: int) -> Decoded:
    """Files read one after another, as one data set; image names are `<part>/<index in the part>`.

    parts: a part's name, its images, uint8 (n, channels, height, width), their class indices (n,), and the
    file that holds the indices. Raises InputError, naming that file, for an index outside 0 .. classes - 1.
    """
    images, labels, names = [], [], []
    for part, pixels, ids, source in parts:
        images.append(pixels)
        labels.append(one_hot(ids, classes, source))
        names += [f"{part}/{index:05d}" for index in range(len(pixels))]
    return Decoded(np.concatenate(images), np.concatenate(labels), np.array(names))


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders in a folder, sorted. Raises InputError when there are none to be read."""
    if not os.path.isdir(folder):
        raise InputError(f"no folder {str(folder)!r}")
    found = sorted(entry.name for entry in _entries(folder) if _is_folder(entry) and entry.name[0] != ".")
    if not found:
        raise InputError(f"folder {str(folder)!r} holds no class folders")
    return found


def class_folder_files(
    folder: Path, classes: Collection[str], suffixes: tuple[str, ...], unused: Counter[str] | None = None
) -> list[tuple[Path, int]]:
    """(file, class index) for `folder/<class>/<file>`, as `class_folder_names` finds them."""
    return [(folder / name, index) for name, index in class_folder_names(folder, classes, suffixes, unused)]


def class_folder_names(
    folder: Path, classes: Collection[str], suffixes: tuple[str, ...], unused: Counter[str] | None = None
) -> list[tuple[str, int]]:
    """(`<class>/<file>`, class index) for the images of class folders, sorted inside a class.

    unused: counts, by the reason, what else is in the folder and in the class folders. Raises InputError naming a
    class folder that is missing, cannot be read or holds no image.
    """
    unused = Counter() if unused is None else unused
    unused.update(_stray(entry) for entry in _entries(folder) if entry.name not in set(classes))
    found: list[tuple[str, int]] = []
    for index, name in enumerate(classes):
        inside = folder / name
        if not os.path.isdir(inside):
            raise InputError(f"missing class folder {str(inside)!r}")
        reasons = {entry.name: _why_not(entry, suffixes) for entry in _entries(inside)}
        files = sorted(file for file, reason in reasons.items() if not reason)
        if not files:
            held = describe_unused(Counter(reasons.values()))
            raise InputError(
                f"class folder {str(inside)!r} holds no {', '.join(suffixes[:5])}{', ...' if suffixes[5:] else ''} "
                f"file{f'; it holds {held}' if held else ''}"
            )
        unused.update(reason for reason in reasons.values() if reason)
        start = Path(name).as_posix()
        found += [(f"{start}/{file}", index) for file in files]
    return found


def describe_unused(unused: Counter[str]) -> str:
    """`3 .txt files, 1 nested folder`: what was seen and not used, the most frequent first."""
    found = []
    for what, count in unused.most_common():
        several = re.sub("file|folder|link", lambda noun: f"{noun[0]}s", what, count=1)
        found += [f"{count:,} {what if count == 1 else several}"] if what else []
    return ", ".join(found)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be read: {error.strerror or error}") from None


def _stray(entry: os.DirEntry[str]) -> str:
    if entry.name[0] == ".":
        return "hidden folder" if _is_folder(entry) else "hidden file"
    return "folder of no class" if _is_folder(entry) else "file beside the class folders"


def _why_not(entry: os.DirEntry[str], suffixes: tuple[str, ...]) -> str:
    """Why something in a class folder is no image of it; empty for an image."""
    suffix, hidden = os.path.splitext(entry.name)[1].lower(), entry.name[0] == "."
    if _is_folder(entry):
        return "hidden folder" if hidden else "nested folder"
    if suffix in suffixes and not hidden:
        return ""
    if suffix and suffix not in suffixes:
        return f"{suffix} file"
    if not os.path.exists(entry.path):
        return "broken link"
    if (suffix or suffixes == IMAGE_SUFFIXES) and _begins_as_image(entry.path):
        return ""
    return "hidden file" if hidden else "file without a suffix"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _begins_as_image(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return bool(_BEGINNINGS.match(file.read(16)))
    except OSError:
        return False
