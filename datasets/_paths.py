"""Where listed images lie: paths that another machine wrote, resolved below a folder of this one by one rule."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts import PathsBelow

#: The longest path that Linux takes.
LONGEST = 4096
#: `C:` of Windows, `file:` of a URL; a name may hold a colon of its own.
_DRIVE = re.compile(r"[A-Za-z]+:")
#: So few files are looked for one by one; a folder with so many times those wanted is not read through.
_FEW, _MANY = 16, 8


def short(path: str) -> str:
    """The last two components of a path, with forward slashes: what is the same on every machine."""
    return "/".join(_components(path)[-2:])


def unlike_a_path(path: str) -> str:
    """What is wrong with a path that no file can have; empty for any other."""
    if len(path) > LONGEST:
        return f"has a path of {len(path):,} characters, {path[:40]!r}...; allowed: {LONGEST:,}"
    return ""


class Resolver:
    """Finds listed images below a folder, whatever stood before their paths on the machine where they were listed.

    A path as written wins. Otherwise it begins at its first component that is a sub-folder here, or, where all
    paths of a list lie in one folder that is not here, at its name. So no image stands in for a missing one that
    has the same name elsewhere. `inside`: sub-folders where images may lie as well, such as `train` and `val`.
    `flat`: all images may lie in one folder here; only for lists whose file names are unique by themselves.
    """

    def __init__(self, folder: Path, inside: Sequence[str] = (), *, flat: bool = False) -> None:
        self.folder, self._flat = folder, flat
        self._places = ["", *(f"{place}/" for place in inside)]
        self._folders = dict[str, bool]()
        self._listed = dict[str, Collection[str] | None]()
        self.missing = 0
        self.looked = set[str]()  # folders below this one in which files were looked for

    def find(self, paths: Sequence[str]) -> Found:
        """The files of a list. One that is nowhere keeps its path from where it begins, or two components."""
        split, rows_in = self._split(paths), Counter[str]()
        rows_in.update(head for head, _ in split)
        names, before = list[str](), Counter[str]()
        by_name = self._flat or len(rows_in) == 1
        starts: dict[str, tuple[str, str]] = {}
        for head, tail in split:
            if placed := self._placed(head, tail, rows_in[head]):
                names.append(placed)
                continue
            if head not in starts:
                parts = [*head.split("/"), tail] if head else [tail]
                start = self._start(parts, by_name)
                starts[head] = "/".join(parts[:start]), "/".join(parts[start:-1])
            left_out, rest = starts[head]
            placed = self._placed(rest, tail, rows_in[head]) if left_out else ""
            self.missing += not placed
            names.append(placed or _join(rest, tail))
            if left_out:
                before[left_out] += 1
        self.looked |= {
            f"{place}{head}"
            for place in self._places
            for head in (*rows_in, *(rest for _, rest in starts.values()))
        }
        return Found(PathsBelow(self.folder, names), names, before)

    def _split(self, paths: Sequence[str]) -> list[tuple[str, str]]:
        """Folder and name of each path as they are looked for; a folder that many share is taken apart once."""
        heads, found = dict[str, str](), list[tuple[str, str]]()
        for path in paths:
            head, _, tail = path.replace("\\", "/").rpartition("/")
            if tail in ("", ".", "..") or tail[-1] == ":":
                *parts, tail = self._parts(path) or [""]
                found.append(("/".join(parts), tail))
                continue
            if head not in heads:
                heads[head] = "/".join(self._parts(f"{head}/x")[:-1]) if head else ""
            found.append((heads[head], tail))
        return found

    def _start(self, parts: list[str], by_name: bool) -> int:
        for start, part in enumerate(parts[:-1]):
            if self._is_folder(part):
                return start
        return len(parts) - 1 if by_name else max(0, len(parts) - 2)

    def _is_folder(self, name: str) -> bool:
        if name not in self._folders:
            self._folders[name] = any((self.folder / place / name).is_dir() for place in self._places)
        return self._folders[name]

    def _parts(self, path: str) -> list[str]:
        parts = _components(path)
        if ".." in parts:  # only what follows can be meant
            parts = parts[len(parts) - parts[::-1].index("..") :]
        drive = parts and _DRIVE.fullmatch(parts[0]) and not self._is_folder(parts[0])
        return parts[1:] if drive else parts

    def _placed(self, head: str, tail: str, rows: int) -> str:
        """The name with the place where the file lies; empty for one that is nowhere."""
        name = _join(head, tail)
        for place in self._places if name else ():
            if rows < _FEW:
                there = os.path.isfile(os.path.join(self.folder, place, name))
            else:  # one look at a folder in place of one at each file
                held = self._held(f"{place}{head}", rows)
                # What a folder does not list may still open: names of another case, or in another normal form.
                there = held is not None and (
                    tail in held or os.path.isfile(os.path.join(self.folder, place, name))
                )
            if there:
                return f"{place}{name}"
        return ""

    def _held(self, inside: str, rows: int) -> Collection[str] | None:
        """Files in a folder, not all where it holds many times the rows; None where there is no such folder."""
        if inside not in self._listed:
            try:
                with os.scandir(os.path.join(self.folder, inside)) as entries:
                    some = itertools.islice(entries, _MANY * rows)
                    self._listed[inside] = {entry.name for entry in some if _is_file(entry)}
            except (FileNotFoundError, NotADirectoryError):
                self._listed[inside] = None
            except (OSError, ValueError):
                self._listed[inside] = ()
        return self._listed[inside]


@dataclass(frozen=True)
class Found:
    """Listed images: their files, their names below the folder, and how often what was left out before them."""

    files: PathsBelow
    names: list[str]
    left_out: Mapping[str, int]

    def note(self, file: str) -> str:
        """What to tell the user of a list that was not read as written; empty for one that was."""
        if not self.left_out:
            return ""
        first, *others = self.left_out
        more = f" and {len(others)} other beginnings" if others else ""
        return f"{file}: {first!r}{more} left out before {sum(self.left_out.values()):,} paths"


def _components(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def _join(head: str, tail: str) -> str:
    return f"{head}/{tail}" if head else tail


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False
