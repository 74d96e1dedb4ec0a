"""Where listed images lie: paths that another machine wrote, resolved below a folder of this one by one rule."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: The longest path that Linux takes.
_LONGEST = 4096
#: `C:` of Windows, `file:` of a URL; a name may hold a colon of its own.
_DRIVE = re.compile(r"[A-Za-z]+:")


def short(path: str) -> str:
    """The last two components of a path, with forward slashes: what is the same on every machine."""
    return "/".join(_components(path)[-2:])


def unlike_a_path(path: str) -> str:
    """What is wrong with a path that no file can have; empty for any other."""
    if len(path) > _LONGEST:
        return f"has a path of {len(path):,} characters, {path[:40]!r}...; allowed: {_LONGEST:,}"
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

    def find(self, paths: Sequence[str]) -> Found:
        """The files of a list. One that is nowhere keeps its path from where it begins, or two components."""
        parts = [self._parts(path) for path in paths]
        names, before = list[str](), Counter[str]()
        by_name = self._flat or len({tuple(one[:-1]) for one in parts}) == 1
        for one in parts:
            name = "/".join(one)
            placed, start = self._placed(name), 0
            if not placed and (start := self._start(one, by_name)):
                name = "/".join(one[start:])
                placed = self._placed(name)
            names.append(placed or name)
            before.update(["/".join(one[:start])] if start else [])
        return Found([self.folder / name for name in names], names, before)

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

    def _placed(self, name: str) -> str:
        """The name with the place where the file lies; empty for one that is nowhere."""
        names = (f"{place}{name}" for place in self._places)
        return next((one for one in names if name and os.path.isfile(os.path.join(self.folder, one))), "")


@dataclass(frozen=True)
class Found:
    """Listed images: their files, their names below the folder, and how often what was left out before them."""

    files: list[Path]
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
