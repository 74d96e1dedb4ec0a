"""Scores and neighbours over a database that is larger than memory: piece by piece, in any executor, resumable."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.decode import stamp
from benchmark.errors import InputError
from benchmark.files.places import cache_root
from benchmark.files.write import write_file
from benchmark.metrics import Rules
from benchmark.metrics.codes import checked_packed
from benchmark.metrics.engines import count, thread_count
from benchmark.metrics.evaluation import Evaluation, evaluate_counts
from benchmark.metrics.problem import build_problem
from benchmark.spec import digest
from benchmark.sweep.executors import Executor, Link, Watch

#: Items that are looked at together at most, and bytes of codes and labels that bound it where items are long.
PIECE, _BYTES = 1 << 21, 1 << 26
#: Queries that are counted together.
_QUERIES = 250
_CODES = re.compile(r"codes(.*)\.npy")


@dataclass(frozen=True)
class Piece:
    """Items `start` to `stop` of one shard; `first` is the number of its first item in the whole database."""

    number: int
    codes: str
    labels: str
    start: int
    stop: int
    first: int


@dataclass(frozen=True)
class Shards:
    """A database on disk: pairs of `codes*.npy` (packed uint8 (n, ceil(bits / 8))) and `labels*.npy`.

    items: in all. pieces: in the order of names. key: names the files and their contents, by size, times and inode.
    """

    bits: int
    items: int
    pieces: tuple[Piece, ...]
    key: str


def open_shards(folder: Path, bits: int, *, labelled: bool = True) -> Shards:
    """Look at a folder of shards; nothing but headers is read.

    Raises InputError for a folder without `codes*.npy`, a shard of another form, or one that lacks its labels.
    """
    found = sorted(path for path in folder.glob("codes*.npy") if _CODES.fullmatch(path.name))
    if not found:
        raise InputError(f"{str(folder)!r} holds no codes*.npy: packed codes, uint8 (items, {-(-bits // 8)})")
    pieces: list[Piece] = []
    first, stamps = 0, []
    for path in found:
        codes = _mapped(path)
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != -(-bits // 8):
            raise InputError(
                f"{str(path)!r} must be uint8 (items, {-(-bits // 8)}) for {bits} bits, "
                f"found {codes.dtype} {codes.shape}"
            )
        beside = path.with_name(path.name.replace("codes", "labels", 1))
        if labelled:
            labels = _mapped(beside)
            if len(labels) != len(codes) or labels.ndim not in (1, 2):
                raise InputError(
                    f"{str(beside)!r} must hold a label for each of {len(codes):,} items, found {labels.shape}"
                )
            stamps.append(stamp(beside))
        stamps.append(stamp(path))
        # Codes are held four times over (as they are, in class order, as words), labels twice.
        row = 4 * codes.shape[1] + (2 * labels[:1].nbytes if labelled else 0)
        most = max(1, min(PIECE, _BYTES // row))
        for start in range(0, len(codes), most):
            stop = min(start + most, len(codes))
            pieces.append(Piece(len(pieces), str(path), str(beside), start, stop, first + start))
        first += len(codes)
    if not first:
        raise InputError(f"{str(folder)!r} holds no items")
    places = [os.path.realpath(path) for path in found]
    key = digest([bits, PIECE, _BYTES, labelled, places, stamps], 32)
    return Shards(bits, first, tuple(pieces), key)


def _mapped(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r} cannot be read: {reason}") from None
    return array


@dataclass(frozen=True)
class Counting:
    """For a piece, the irrelevant and the relevant items of each query at each distance: int64 (m, bits + 1, 2)."""

    codes: np.ndarray
    labels: np.ndarray
    bits: int
    rules: Rules
    threads: int

    def __call__(self, piece: Piece, link: Link) -> np.ndarray:
        """Count; the same whatever the threads and the processor."""
        some = slice(piece.start, piece.stop)
        items, labels = (
            np.array(_mapped(Path(piece.codes))[some]),
            np.array(_mapped(Path(piece.labels))[some]),
        )
        problem = build_problem(self.codes, items, self.bits, self.labels, labels, rules=self.rules)
        parts = []
        for low in range(0, problem.queries, _QUERIES):
            parts.append(
                count(problem, low, min(low + _QUERIES, problem.queries), "numba", self.threads, None)
            )
        return np.concatenate(parts)


@dataclass(frozen=True)
class Nearest:
    """For a piece, the `top` nearest of each query: distances and numbers, int64 (m, 2, top), the rest -1."""

    codes: np.ndarray
    bits: int
    top: int

    def __call__(self, piece: Piece, link: Link) -> np.ndarray:
        """Equal distances are in the order of the database."""
        items = np.array(_mapped(Path(piece.codes))[piece.start : piece.stop])
        found = np.full((len(self.codes), 2, self.top), -1, dtype=np.int64)
        for query, code in enumerate(self.codes):
            far = np.bitwise_count(items ^ code).sum(axis=1, dtype=np.uint16)
            kept = min(self.top, len(items))
            last = np.partition(far, kept - 1)[kept - 1]
            rows = np.flatnonzero(far <= last)
            rows = rows[np.argsort(far[rows], kind="stable")][:kept]
            found[query, :, :kept] = far[rows], rows + piece.first
        return found


def score_shards(
    shards: Shards,
    codes: np.ndarray,
    labels: np.ndarray,
    executor: Executor,
    *,
    rules: Rules | None = None,
    metrics: Iterable[str] | None = None,
    at: tuple[int, ...] = (100, 1000),
    threads: int | None = None,
    tell: Callable[[int], None] = lambda items: None,
) -> Evaluation:
    """Score packed query codes (m, ceil(bits / 8)) against the shards: equal to `evaluate` of all in memory.

    Counts of finished pieces stay in the cache until the end: a killed run goes on with the pieces that are left.
    tell: hears of items that are done. Raises InputError for what does not fit, RuntimeError where a piece fails.
    """
    rules = rules if rules is not None else Rules()
    codes = checked_packed(codes, shards.bits, "query codes")
    work = Counting(codes, labels, shards.bits, rules, thread_count(threads))
    evaluate_counts(
        np.zeros((1, shards.bits + 1, 2), np.int64), 1, rules=rules, metrics=metrics, at=at
    )  # fits?
    if rules.exclude_self:
        raise InputError("shards hold no ids: exclude_self is not to be had")
    key = digest([shards.key, codes.tobytes().hex(), labels.tobytes().hex(), labels.shape], 32)
    total = np.zeros((len(codes), shards.bits + 1, 2), dtype=np.int64)
    for part in _pieces(shards, work, executor, key, tell):
        total += part
    _forget(key)
    return evaluate_counts(total, shards.items, rules=rules, metrics=metrics, at=at, engine="numba")


def search_shards(
    shards: Shards,
    codes: np.ndarray,
    top: int,
    executor: Executor,
    tell: Callable[[int], None] = lambda items: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The `top` nearest of each query: numbers in the database int64 (m, top), and Hamming distances.

    Equal distances are in the order of the database. Resumable and with the same errors as `score_shards`.
    """
    codes = checked_packed(codes, shards.bits, "query codes")
    top = min(top, shards.items)
    key = digest([shards.key, codes.tobytes().hex(), top], 32)
    best = np.full((len(codes), 2, 0), -1, dtype=np.int64)
    for part in _pieces(shards, Nearest(codes, shards.bits, top), executor, key, tell):
        both = np.concatenate([best, part], axis=2)
        far = np.where(both[:, 1] < 0, np.iinfo(np.int64).max, both[:, 0])
        order = np.lexsort((both[:, 1], far), axis=1)[:, :top]
        best = np.take_along_axis(both, order[:, None, :], axis=2)
    _forget(key)
    return best[:, 1], best[:, 0]


def _pieces(
    shards: Shards,
    work: Callable[[Piece, Link], np.ndarray],
    executor: Executor,
    key: str,
    tell: Callable[[int], None],
) -> Iterator[np.ndarray]:
    """What came of each piece, in any order: those of an earlier run from the cache first."""
    left: list[Piece] = []
    for piece in shards.pieces:
        found = _read(_place(key, piece))
        if found is None:
            left.append(piece)
            continue
        tell(piece.stop - piece.start)
        yield found
    for outcome in executor.run(work, left, Watch()):
        if outcome.value is None:
            raise RuntimeError(f"items from {outcome.item.first:,} on: {outcome.failure}: {outcome.message}")
        content = io.BytesIO()
        np.save(content, outcome.value)
        try:
            write_file(_place(key, outcome.item), content.getvalue())
        except OSError as error:
            reason = f"{error.strerror or error}; make room, or set BENCHMARK_CACHE"
            raise InputError(f"counts cannot be kept in {str(_folder(key))!r}: {reason}") from error
        tell(outcome.item.stop - outcome.item.start)
        yield outcome.value


def _folder(key: str) -> Path:
    return cache_root() / "shards" / key


def _place(key: str, piece: Piece) -> Path:
    return _folder(key) / f"{piece.number:06d}.npy"


def _read(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def _forget(key: str) -> None:
    if os.path.isdir(_folder(key)):
        shutil.rmtree(_folder(key), ignore_errors=True)
