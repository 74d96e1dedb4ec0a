"""Long listings that take little memory: a path or an origin is made when it is asked for."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


class _Made(Sequence[T]):
    """n things that are made one at a time: a million paths take seconds and half a gigabyte."""

    def __init__(self, n: int, make: Callable[[int], T]) -> None:
        self._rows, self._make = range(n), make

    @overload
    def __getitem__(self, row: int) -> T: ...

    @overload
    def __getitem__(self, row: slice) -> list[T]: ...

    def __getitem__(self, row: int | slice) -> T | list[T]:
        if isinstance(row, slice):
            return [self._make(one) for one in self._rows[row]]
        return self._make(self._rows[row])

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class PathsBelow(_Made[Path]):
    """The files `folder / name` of many names, each path made when it is asked for.

    Attributes
    ----------
    folder : Path
        Of all of them.
    names : sequence of str
        Their places below it, components parted by `/`.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(len(names), lambda row: folder / names[row])
        self.folder, self.names = folder, names


class Origins(_Made[str]):
    """Where each of many things was read: `train.txt line 3`, each text made when it is asked for.

    Attributes
    ----------
    files : tuple of (str, sequence of int)
        File name and line numbers, one file after the other.
    """

    def __init__(self, *files: tuple[str, Sequence[int]]) -> None:
        self.files = files
        self._ends = list(itertools.accumulate(len(lines) for _, lines in files))
        super().__init__(self._ends[-1] if files else 0, self._told)

    def _told(self, row: int) -> str:
        place = bisect.bisect_right(self._ends, row)
        file, lines = self.files[place]
        return f"{file} line {lines[row - self._ends[place]]}"


class Shelf(Protocol):
    """Arrays that are kept between processes."""

    def read(self, key: str) -> Mapping[str, np.ndarray] | None:
        """The arrays of a key, read-only; None where they are not there, or damaged.

        Parameters
        ----------
        key : str
            Over all that the arrays were made from.

        Returns
        -------
        mapping of str to array, or None
            As they were written.
        """

    def write(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of a key.

        Parameters
        ----------
        key : str
            As in `read`.
        arrays : mapping of str to array
            What takes long to make.
        """


def absolute(paths: Iterable[Path]) -> list[str]:
    """Absolute paths as text, without `.` and `..`.

    Parameters
    ----------
    paths : iterable of Path
        `PathsBelow` is quick.

    Returns
    -------
    list of str
        In the same order.
    """
    if isinstance(paths, PathsBelow) and os.sep == "/" and "../" not in "\0".join(paths.names):
        start = f"{os.path.abspath(paths.folder).rstrip('/')}/"
        return [start + name for name in paths.names]
    return [os.path.abspath(path) for path in paths]
