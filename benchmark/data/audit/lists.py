"""List files on disk (an image a line, then its labels) as parts that an audit compares."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.contracts import PARTS
from benchmark.data import pictures
from benchmark.data.audit.facts import Audit, findings, overlaps, part_facts, twins
from benchmark.data.audit.pixels import PixelFacts, digests, near_pairs
from benchmark.datasets._lists import Resolver, parse_lines
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
    """One list: the paths as written, their labels where the lines have them, and what could not be read."""

    part: str
    path: Path
    paths: list[str]
    labels: list[tuple[int, ...]]
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
    """Read one list by the rules by which data sets read it: `path 0 1 0 ...`, `path 7`, or the path alone.

    Raises InputError when the file cannot be read or holds no line.
    """
    lines, problems, bad = list(parse_lines(path)), list[str](), set[int]()
    kept = [line for line in lines if not line.problem]
    widths = Counter(len(line.labels) for line in kept)
    usual = widths.most_common(1)[0][0] if kept else 0
    for line in lines:
        problem = line.problem
        if usual and not line.labels:
            problem = problem or f"has no label after its path: {line.path[:60]!r}"
        elif len(line.labels) > 1 and not set(line.labels) <= {0, 1, -1}:
            problem = "has labels other than 0 and 1"
        if problem:
            problems.append(f"{path.name} line {line.number} {problem}")
            bad.add(line.number)
    kept = [line for line in kept if line.number not in bad]
    if not kept:
        first = f": {problems[0]}" if problems else ""
        raise InputError(f"list file {str(path)!r} holds no image{first}")
    paths, labels = [line.path for line in kept], [line.labels for line in kept]
    odd = sum(len(values) != usual for values in labels)
    if odd:
        problems.append(f"{path.name}: {odd} lines have not the usual {usual} label columns")
    if usual == 0:
        problems.append(f"{path.name} has no label columns: its images have no labels")
    return ListFile(role(path), path, paths, labels, tuple(problems))


def audit_lists(files: Sequence[Path], images: Path | None = None) -> Audit:
    """Compare list files by image, and by pixels when their images are found under `images` or beside the lists.

    Raises InputError for a file that cannot be read, or two files for one part.
    """
    lists = _one_a_part([read_list(path) for path in files])
    lists.sort(key=lambda one: (*PARTS, one.part).index(one.part))
    found = _located(lists, images)
    rows: dict[str, int] = {}
    parts = {
        one.part: np.array([rows.setdefault(name, len(rows)) for name in names], dtype=np.int64)
        for one, (names, _) in zip(lists, found, strict=True)
    }
    names = list(rows)
    numbers = _class_numbers(lists)
    tables = [_label_table(one, numbers) for one in lists]
    labels, conflicts = _joint(tables, list(parts.values()), len(rows))
    files_of = {name: file for names_, paths in found for name, file in zip(names_, paths, strict=True)}
    pixels, remark = _pixels([files_of[name] for name in names], images)
    identical, disagree = (None, None) if pixels is None else twins(pixels.digests, labels)
    classes = [str(number) for number in numbers]
    audit = Audit(
        subject=", ".join(str(path) for path in files),
        images=len(names),
        parts={
            name: part_facts(part, classes, table)
            for (name, part), table in zip(parts.items(), tables, strict=True)
        },
        distinct=len(names),
        overlaps=overlaps(parts, pixels, names.__getitem__),
        pixels=remark,
        identical=identical,
        label_conflicts=disagree,
        near_pairs=None if pixels is None or pixels.near is None else len(pixels.near),
    )
    problems = [problem for one in lists for problem in one.problems[:5]]
    if conflicts:
        problems.append(f"{conflicts:,} images have other labels on another line")
    return audit.model_copy(update={"findings": (*findings(audit), *problems)})


def _located(lists: Sequence[ListFile], images: Path | None) -> list[tuple[list[str], list[Path | None]]]:
    """What the images of each list are called, the same in every list, and their files where they are here.

    One file has one name, however its path is written. Where files are not at hand, images are told by the last two
    components of their paths, or by the last one where some list has no folders and no file name is in two folders.
    """
    short_names = _common_names(lists)
    found = []
    for one, names in zip(lists, short_names, strict=True):
        roots = [images] if images is not None else [one.path.parent, one.path.parent.parent]
        files = [list[Path | None](Resolver(root).find(one.paths).files) for root in roots]
        best = [
            next((file for file in each if file and file.is_file()), None)
            for each in zip(*files, strict=True)
        ]
        found.append((names, best))
    everything = [file for _, files in found for file in files]
    if all(file is not None for file in everything):
        real = {file: os.path.realpath(file) for file in everything if file is not None}
        common = os.path.commonpath([os.path.dirname(path) for path in real.values()])
        place = common if images is None else os.path.realpath(images)
        return [([os.path.relpath(real[file], place) for file in files if file], files) for _, files in found]
    return found


def _common_names(lists: Sequence[ListFile]) -> list[list[str]]:
    parts = [
        [[one for one in path.replace("\\", "/").split("/") if one not in ("", ".")] for path in each.paths]
        for each in lists
    ]
    folders: dict[str, set[str]] = {}
    bare = False
    for one in (one for each in parts for one in each):
        bare |= len(one) == 1
        folders.setdefault(one[-1] if one else "", set()).update(one[-2:-1])
    depth = 1 if bare and all(len(above) <= 1 for above in folders.values()) else 2
    return [["/".join(one[-depth:]) for one in each] for each in parts]


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
    if len(shards) == 1:
        return shards[0]
    return replace(
        shards[0],
        paths=[path for one in shards for path in one.paths],
        labels=[values for one in shards for values in one.labels],
        problems=tuple(problem for one in shards for problem in one.problems),
    )


def _class_numbers(lists: Sequence[ListFile]) -> list[int]:
    """The classes of all lists by their numbers: columns, or the class indices that occur."""
    width = max(len(values) for one in lists for values in one.labels)
    if width > 1:
        return list(range(width))
    return sorted({values[0] for one in lists for values in one.labels if values and values[0] >= 0})


def _label_table(one: ListFile, numbers: Sequence[int]) -> np.ndarray | None:
    """The labels of a list's own lines, uint8 (lines, classes); None where it has none."""
    place = {number: at for at, number in enumerate(numbers)}
    if not any(one.labels) or not place:
        return None
    table = np.zeros((len(one.labels), len(place)), dtype=np.uint8)
    for row, values in enumerate(one.labels):
        if len(values) == 1 and values[0] in place:
            table[row, place[values[0]]] = 1
        elif len(values) == len(place):
            table[row] = np.array(values) > 0
    return table


def _joint(
    tables: Sequence[np.ndarray | None], parts: Sequence[np.ndarray], n: int
) -> tuple[np.ndarray | None, int]:
    """Labels by image, the first line's where lines disagree, and how many images have lines that do."""
    known = [(table, part) for table, part in zip(tables, parts, strict=True) if table is not None]
    if not known:
        return None, 0
    labels = np.zeros((n, known[0][0].shape[1]), dtype=np.uint8)
    told, conflicts = np.zeros(n, dtype=bool), set[int]()
    for table, part in known:
        for wanted, row in zip(table, part, strict=True):
            if told[row] and (labels[row] != wanted).any():
                conflicts.add(int(row))
            elif not told[row]:
                labels[row], told[row] = wanted, True
    return labels, len(conflicts)


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
