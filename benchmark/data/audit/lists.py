"""List files on disk (an image a line, then its labels) as parts that an audit compares."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.contracts import PARTS
from benchmark.data import pictures
from benchmark.data.audit.facts import (
    Audit,
    PartFacts,
    findings,
    labelled_part,
    overlaps,
    part_facts,
    twins,
)
from benchmark.data.audit.pixels import PixelFacts, digests, near_pairs
from benchmark.datasets._lists import Resolver, scan_list, short
from benchmark.errors import InputError

#: Part names by how their list files are called in public repositories; the first that a file's name holds counts.
ROLES = (
    ("database", ("database", "gallery", "retrieval", "base", "db")),
    ("train", ("train",)),
    ("query", ("query", "queries", "test", "val")),
)
#: Thumbnails of image files are made at this size; their digests are of all their pixels.
_SIDE = 16


@dataclass(frozen=True)
class ListFile:
    """One list, or the shards of one: paths as written, where they were read, and their labels.

    A line's labels are empty where none could be read. width: the usual number of them. problems: what
    could not be read.
    """

    part: str
    path: Path
    paths: list[str]
    origins: list[str]
    labels: list[tuple[int, ...]]
    width: int
    problems: tuple[str, ...]


def role(path: Path) -> str:
    """The part that a list file's name says it is; its own stem when it says nothing."""
    stem = path.stem.lower()
    return next((part for part, words in ROLES if any(word in stem for word in words)), stem)


def list_files(target: Path) -> list[Path]:
    """The list files of a folder (its `*.txt`), or the file itself. Raises InputError when there is none."""
    if target.is_dir():
        found = sorted(target.glob("*.txt"))
        if not found:
            raise InputError(f"no list file (*.txt) in {str(target)!r}")
        return found
    return [target]


def read_list(path: Path) -> ListFile:
    """Read one list as a data set would, but for lines with other or no labels: those are problems to be named.

    Raises InputError when the file cannot be read or no line of it is one of a list.
    """
    lines = scan_list(path)
    wrong = [f"{path.name} line {line.number} {line.wrong}" for line in lines if line.wrong]
    if len(wrong) == len(lines):
        raise InputError(f"no line of {str(path)!r} is one of a list: {wrong[0]}")
    width = Counter(len(line.labels) for line in lines if not line.wrong).most_common(1)[0][0]
    bare = [line for line in lines if width and not line.labels and not line.wrong]
    wrong += [f"{path.name} line {line.number} has no label after {line.path[:60]!r}" for line in bare]
    uncertain = {line.number for line in bare}  # where the path ends
    used = [line for line in lines if line.number not in uncertain]
    odd = sum(len(line.labels) not in (0, width) for line in used)
    if odd:
        wrong.append(f"{path.name}: {odd} lines have not the usual {width} label columns")
    if not width:
        wrong.append(f"{path.name} has no label columns: its images have no labels")
    return ListFile(
        role(path),
        path,
        [line.path for line in used],
        [f"{path.name} line {line.number}" for line in used],
        [line.labels if len(line.labels) == width else () for line in used],
        width,
        tuple(wrong),
    )


def audit_lists(files: Sequence[Path], images: Path | None = None) -> Audit:
    """Compare list files by the files that their lines name, and by pixels when all are under `images` or beside
    the lists. Images that are not at hand are compared by their paths.

    Raises InputError for a file that cannot be read, or two files for one part.
    """
    lists, left_out = _readable(files)
    lists = _one_a_part(lists)
    lists.sort(key=lambda one: (*PARTS, one.part).index(one.part))
    keys, names, found = _identities(lists, images)
    rows: dict[Hashable, int] = {}
    parts = {
        one.part: np.array([rows.setdefault(key, len(rows)) for key in keys[one.part]], dtype=np.int64)
        for one in lists
    }
    name_of = {row: name for part in parts for row, name in zip(parts[part][::-1], names[part][::-1])}
    codes, disagree = _labels_by_row(lists, parts)
    pixels, remark = _pixels([found.get(key) for key in rows], images)
    identical, conflicts = (None, None) if pixels is None else twins(pixels.digests, codes, codes[:, 0] >= 0)
    audit = Audit(
        subject=", ".join(str(path) for path in files),
        images=len(rows),
        parts={one.part: _facts(one, parts[one.part], lists) for one in lists},
        distinct=len(rows),
        overlaps=overlaps(parts, pixels, name_of.__getitem__),
        pixels=remark,
        identical=identical,
        label_conflicts=conflicts,
        near_pairs=None if pixels is None or pixels.near is None else len(pixels.near),
    )
    problems = [problem for one in lists for problem in one.problems[:5]]
    if disagree:
        problems.append(f"{len(disagree):,} images have other labels on another line, first {disagree[0]}")
    return audit.model_copy(update={"findings": (*findings(audit), *problems, *left_out)})


def _readable(files: Sequence[Path]) -> tuple[list[ListFile], list[str]]:
    """The lists among the files, and why others (word vectors, class names in another encoding) are none."""
    lists, left_out = list[ListFile](), list[str]()
    for path in files:
        try:
            lists.append(read_list(path))
        except InputError as error:
            if len(files) == 1:
                raise
            left_out.append(f"left out: {error}")
    if not lists:
        raise InputError("; ".join(left_out))
    return lists, left_out


def _one_a_part(lists: Sequence[ListFile]) -> list[ListFile]:
    """Shards (test0, test1, ...) become one part; of `database` and `database_nolabel` the second is a part of its
    own. Raises InputError when it is not clear which of several files is a part.
    """
    found = []
    for part in dict.fromkeys(one.part for one in lists):
        mine = [one for one in lists if one.part == part]
        if len({one.path.stem.rstrip("0123456789") for one in mine}) == 1:
            found.append(_joined(mine))
            continue
        words = dict(ROLES).get(part, ())
        plain = [one for one in mine if one.path.stem.lower() in words]
        if len(plain) != 1:
            files = ", ".join(one.path.name for one in mine)
            raise InputError(f"several list files for the part {part!r}: {files}; name one of them")
        found += [one if one is plain[0] else replace(one, part=one.path.stem) for one in mine]
    return found


def _joined(shards: Sequence[ListFile]) -> ListFile:
    first = shards[0]
    other = [one.path.name for one in shards if one.width != first.width]
    problems = [problem for one in shards for problem in one.problems]
    if other:
        problems.append(f"{', '.join(other)}: not the {first.width} label columns of {first.path.name}")
    labels = [values if len(values) == first.width else () for one in shards for values in one.labels]
    return replace(
        first,
        paths=[path for one in shards for path in one.paths],
        origins=[origin for one in shards for origin in one.origins],
        labels=labels,
        problems=tuple(problems),
    )


def _facts(one: ListFile, rows: np.ndarray, lists: Sequence[ListFile]) -> PartFacts:
    """The facts of a list by its own lines; other lists only say which class indices there are."""
    labels = [values for values in one.labels if values]
    if not labels:
        return part_facts(rows, None, ())
    table = np.array(labels, dtype=np.int64)
    if one.width > 1:
        classes = [str(number) for number in range(one.width)]
        return labelled_part(rows, table.sum(axis=0), table.sum(axis=1), classes)
    every = np.unique(
        [index for other in lists if other.width == 1 for (index,) in filter(None, other.labels)]
    )
    counts = np.bincount(np.searchsorted(every, table[:, 0]), minlength=len(every))
    return labelled_part(rows, counts, np.ones(len(table)), [str(index) for index in every.tolist()])


def _labels_by_row(lists: Sequence[ListFile], parts: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """A number for the labels of each image, (images, 1), those of its first line with labels (-1: there is none),
    and the places of two lines that disagree, one pair an image.
    """
    numbers: dict[tuple[int, ...], int] = {}
    first: dict[int, tuple[tuple[int, ...], str]] = {}
    disagree: dict[int, str] = {}
    for one in lists:
        for row, values, origin in zip(parts[one.part].tolist(), one.labels, one.origins, strict=True):
            if not values:
                continue
            before, where = first.setdefault(row, (values, origin))
            if before != values and len(before) == len(values):
                disagree.setdefault(row, f"{where} and {origin}")
    codes = np.full((max(map(int, map(np.max, parts.values()))) + 1, 1), -1)
    for row, (values, _) in first.items():
        codes[row] = numbers.setdefault(values, len(numbers))
    return codes, list(disagree.values())


def _identities(
    lists: Sequence[ListFile], images: Path | None
) -> tuple[dict[str, list[Hashable]], dict[str, list[str]], dict[Hashable, Path]]:
    """What makes the image of each line the same as another's, its name, and the files that are at hand.

    A file is known by its place on the disk, so `im1.jpg`, `./images/im1.jpg` and a link are one image when they
    are one file. One that is not at hand is known by its path's end, which may be that of a file.
    """
    keys: dict[str, list[Hashable]] = {}
    names: dict[str, list[str]] = {}
    files: dict[Hashable, Path] = {}
    held: dict[Hashable, set[Hashable]] = {}
    ends = _ends([path for one in lists for path in one.paths])
    for one in lists:
        keys[one.part], names[one.part] = [], []
        for path, file in zip(one.paths, _at_hand(one, images), strict=True):
            key: Hashable = ends[path]
            if file is not None:
                seen = os.stat(file)
                key = (seen.st_dev, seen.st_ino)
                files.setdefault(key, file)
                held.setdefault(ends[path], set()).add(key)
            keys[one.part].append(key)
            names[one.part].append(short(path))
    only = {end: found.pop() for end, found in held.items() if len(found) == 1}
    return {part: [only.get(key, key) for key in mine] for part, mine in keys.items()}, names, files


def _ends(paths: Sequence[str]) -> dict[str, str]:
    """The part of each path that is the same on every machine: its last two components, or, where all paths lie in
    one folder or in none, its last.
    """
    two = {path: short(path) for path in dict.fromkeys(paths)}
    if len({end.rpartition("/")[0] for end in two.values() if "/" in end}) > 1:
        return two
    return {path: end.rpartition("/")[2] for path, end in two.items()}


def _at_hand(one: ListFile, images: Path | None) -> Iterator[Path | None]:
    """The file of each line: below `images`, else beside the list or beside its folder, else as written."""
    roots = [images] if images is not None else [one.path.parent, one.path.parent.parent]
    found = [Resolver(root).find(one.paths).files for root in roots]
    for path, *choices in zip(one.paths, *found, strict=True):
        written = [Path(path)] if os.path.isabs(path) else []
        yield next((file for file in (*choices, *written) if os.path.isfile(file)), None)


def _pixels(files: Sequence[Path | None], images: Path | None) -> tuple[PixelFacts | None, str]:
    """Digests and near duplicates of the listed images, or why there are none."""
    found = [path for path in files if path is not None]
    where = str(images) if images is not None else "the lists' folders"
    if len(found) < len(files):
        return (
            None,
            f"not compared: {len(files) - len(found):,} of {len(files):,} images are not under {where}",
        )
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(_look, found))
    exact = np.array([digest for digest, _ in seen], dtype=np.uint64)
    small = np.stack([thumbnail for _, thumbnail in seen])
    return PixelFacts(exact, near_pairs(small, exact)), "compared"


def _look(path: Path) -> tuple[int, np.ndarray]:
    """An image file's digest over size and pixels, and its thumbnail."""
    from PIL import Image

    try:
        image = pictures.read(path, "RGB")
    except InputError as error:
        raise InputError(f"image {str(path)!r} cannot be read: {error}") from error
    pixels = np.asarray(image)
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    flat = np.frombuffer(repr(pixels.shape).encode() + pixels.tobytes(), dtype=np.uint8)
    return int(digests(flat[None])[0]), small.transpose(2, 0, 1)
