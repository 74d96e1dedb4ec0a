"""List files on disk (an image a line, then its labels) as parts that an audit compares."""

from __future__ import annotations

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
    """One list: a name a line (the last two path components, as repositories carry other machines' folders), its
    path as written, its labels where the lines have them, and what could not be read.
    """

    part: str
    path: Path
    names: list[str]
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
    """Read one list: `path 0 1 0 ...` a line, `path 7` (a class index), or the path alone. CRLF is fine.

    Raises InputError when the file cannot be read or holds no line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"list file {str(path)!r} cannot be read: {error}") from error
    names, paths, labels, problems = [], [], [], list[str]()
    widths: Counter[int] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            values = tuple(int(float(field)) for field in fields[1:])
        except (ValueError, OverflowError):
            problems.append(
                f"{path.name} line {number}: {line.strip()[:60]!r} is not a path and whole numbers"
            )
            continue
        if len(values) > 1 and not set(values) <= {0, 1, -1}:
            problems.append(f"{path.name} line {number}: labels other than 0 and 1")
            continue
        widths[len(values)] += 1
        names.append("/".join(Path(fields[0].replace("\\", "/")).parts[-2:]))
        paths.append(fields[0])
        labels.append(values)
    if not names:
        raise InputError(f"list file {str(path)!r} holds no image")
    usual = widths.most_common(1)[0][0]
    odd = [number for number, values in enumerate(labels) if len(values) != usual]
    if odd:
        problems.append(f"{path.name}: {len(odd)} lines have not the usual {usual} label columns")
    if usual == 0:
        problems.append(f"{path.name} has no label columns: its images have no labels")
    return ListFile(role(path), path, names, paths, labels, tuple(problems))


def audit_lists(files: Sequence[Path], images: Path | None = None) -> Audit:
    """Compare list files by name, and by pixels when their images are found under `images` or beside the lists.

    Raises InputError for a file that cannot be read, or two files for one part.
    """
    lists = _one_a_part([read_list(path) for path in files])
    lists.sort(key=lambda one: (*PARTS, one.part).index(one.part))
    rows: dict[str, int] = {}
    parts = {
        one.part: np.array([rows.setdefault(name, len(rows)) for name in one.names], dtype=np.int64)
        for one in lists
    }
    names = list(rows)
    labels, conflicts = _label_table(lists, rows)
    classes = [str(number) for number in range(labels.shape[1])] if labels is not None else []
    pixels, remark = _pixels(lists, rows, images)
    identical, disagree = (None, None) if pixels is None else twins(pixels.digests, labels)
    audit = Audit(
        subject=", ".join(str(path) for path in files),
        images=len(names),
        parts={name: part_facts(part, labels, classes) for name, part in parts.items()},
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
        names=[name for one in shards for name in one.names],
        paths=[path for one in shards for path in one.paths],
        labels=[values for one in shards for values in one.labels],
        problems=tuple(problem for one in shards for problem in one.problems),
    )


def _label_table(lists: Sequence[ListFile], rows: dict[str, int]) -> tuple[np.ndarray | None, int]:
    """Labels as uint8 (images, classes), the first line's where lines disagree, and how many images disagree."""
    width = max(len(values) for one in lists for values in one.labels)
    indices = [values[0] for one in lists for values in one.labels if len(values) == 1]
    if width <= 1:
        if not indices or min(indices) < 0:
            return None, 0
        width = max(indices) + 1
    table = np.zeros((len(rows), width), dtype=np.uint8)
    known, conflicts = np.zeros(len(rows), dtype=bool), set[int]()
    for one in lists:
        for name, values in zip(one.names, one.labels, strict=True):
            if (
                not values
                or (len(values) not in (1, width))
                or (len(values) == 1 and not 0 <= values[0] < width)
            ):
                continue
            row, wanted = rows[name], np.zeros(width, dtype=np.uint8)
            if len(values) == 1 and width > 1:
                wanted[values[0]] = 1
            else:
                wanted[:] = np.array(values) > 0
            if known[row] and (table[row] != wanted).any():
                conflicts.add(row)
            elif not known[row]:
                table[row], known[row] = wanted, True
    return table, len(conflicts)


def _pixels(
    lists: Sequence[ListFile], rows: dict[str, int], images: Path | None
) -> tuple[PixelFacts | None, str]:
    """Digests and near duplicates of the listed images, or why there are none."""
    files: list[Path | None] = [None] * len(rows)
    for one in lists:
        roots = [images] if images is not None else [one.path.parent, one.path.parent.parent]
        for name, path in zip(one.names, one.paths, strict=True):
            if files[rows[name]] is None:
                files[rows[name]] = next(
                    (root / form for root in roots for form in (path, name) if (root / form).is_file()), None
                )
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
