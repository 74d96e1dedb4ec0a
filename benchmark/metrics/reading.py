"""How stored values become bits: one rule, over both sides of a comparison together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError

_BLOCK = 1 << 16  # values looked at a time
#: A side without a value below 0 may be so by chance, beside one that has them, down to this probability.
_CHANCE = 1e-6
Threshold = float | Sequence[float] | None


@dataclass(frozen=True)
class Reading:
    """How one set of values becomes bits.

    signed: a value above `threshold` is 1, one below is 0, and one equal to it is decided by `sign_zero`;
    otherwise the values are 0 and 1. words: the same, fit for a note. real: floats are among
    them that are not -1, 0 or 1.
    """

    signed: bool
    threshold: float
    words: str
    real: bool = False

    def ternary(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """-1, 0 (a value that lies on the threshold) and +1, of the array's shape."""
        if not self.signed:
            return array.astype(np.float32) * 2 - 1
        wide = array.astype(np.float64) - self.threshold if self.threshold else array
        return np.sign(wide).astype(np.float32)


class _Values:
    """What one set holds; each fact is looked up when it is asked for."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        self.array, self.name = array, name
        self.boolean, self.real = array.dtype.kind == "b", array.dtype.kind == "f"
        self.low: Any = 0 if self.boolean else array.min().item()
        self.high: Any = 1 if self.boolean else array.max().item()
        if self.low != self.low:
            row = next(
                start + int(np.isnan(block).any(axis=1).argmax())
                for start, block in self._blocks()
                if np.isnan(block).any()
            )
            raise InputError(f"{name} contain NaN, first in row {row}")

    def _blocks(self) -> Any:
        step = max(1, _BLOCK // self.array.shape[1])
        for start in range(0, len(self.array), step):
            yield start, self.array[start : start + step]

    @cached_property
    def codes(self) -> bool:
        """Whether there is nothing but -1, 0 and 1."""
        if not self.real:
            return bool(self.low >= -1 and self.high <= 1)
        return all(bool(((block == 0) | (np.abs(block) == 1)).all()) for _, block in self._blocks())

    @cached_property
    def zeros(self) -> bool:
        return any(bool((block == 0).any()) for _, block in self._blocks())

    def plausible(self, other: _Values) -> bool:
        """Whether this side, if drawn like the other, could hold nothing below 0."""
        below = sum(int((block < 0).sum()) for _, block in other._blocks()) / other.array.size
        return self.array.size * math.log1p(-below) >= math.log(_CHANCE) if below < 1 else False

    def check_integers(self) -> None:
        if not self.real and not self.codes:
            wrong = self.low if self.low < -1 else self.high
            raise InputError(
                f"{self.name}: integer codes must be -1/+1 or 0/1, found {wrong}"
                " (packed bytes need their number of bits: unpack_codes, or --bits)"
            )

    def span(self) -> str:
        return f"{self.name} {self.low:.3g} to {self.high:.3g}"


def read_set(array: NDArray[Any], name: str, threshold: float | None = None) -> Reading:
    """How one set alone is read; see `read_pair`."""
    return _readings([_Values(array, name)], [threshold])[0]


def read_pair(
    queries: NDArray[Any], items: NDArray[Any], threshold: Threshold = None
) -> tuple[Reading, Reading]:
    """How the two sides of a comparison are read, by one rule for both.

    Booleans and values that are all 0 or 1 are bits, whatever their type; values with something below 0 count by
    sign. A side without a value below 0 beside one that has them is read like it where chance can explain that
    (a lone query), as bits where it is all 0 and 1, and refused otherwise. `threshold` decides instead: one
    number, or one for the queries and one for the database. Raises InputError for NaN, for integers other than
    -1, 0 and 1, and for floats that are never below 0 and not all 0 or 1.
    """
    found = _readings(
        [_Values(queries, "query codes"), _Values(items, "database codes")],
        list(checked_thresholds(threshold)),
    )
    return found[0], found[1]


def checked_thresholds(threshold: Threshold) -> tuple[float | None, float | None]:
    """A threshold a side, None for the usual rule; InputError for anything but one or two finite numbers."""
    given = [threshold] if threshold is None or isinstance(threshold, (int, float)) else list(threshold)
    good = all(one is None or (isinstance(one, (int, float)) and math.isfinite(one)) for one in given)
    if not good or len(given) not in (1, 2) or any(isinstance(one, bool) for one in given):
        raise InputError(f"threshold is {threshold!r}; it must be one finite number, or one for each side")
    return given[0], given[-1]


def describe_readings(readings: tuple[Reading, Reading]) -> str:
    """One line that says how both sides were read."""
    query, database = (one.words for one in readings)
    if query == database:
        return f"codes are read {query}"
    return f"queries are read {query}, the database {database}"


def _readings(sides: list[_Values], thresholds: Sequence[float | None]) -> list[Reading]:
    found = [
        _one(side, sides[1 - at] if len(sides) > 1 else None, threshold)
        for at, (side, threshold) in enumerate(zip(sides, thresholds))
    ]
    open_ones = [side for side, reading in zip(sides, found) if reading is None]
    if open_ones:
        spans = " and ".join(side.span() for side in open_ones)
        raise InputError(
            f"no value is below 0 ({spans}), so by sign every bit would be 1: say what parts 0 from 1 with "
            "threshold (--threshold 0.5 for probabilities, 0 for the sign; 0.5,0: queries, database)"
        )
    return [one for one in found if one is not None]


def _one(side: _Values, other: _Values | None, threshold: float | None) -> Reading | None:
    """The reading of one side; None where it has to be asked for."""
    kind = str(side.array.dtype)
    bits = Reading(False, 0.5, f"as 0/1 codes ({kind})")
    if side.boolean:
        return bits
    if threshold is not None:
        words = f"by sign ({kind})" if threshold == 0 else f"by the threshold {threshold:g} ({kind})"
        return Reading(True, float(threshold), words, not side.codes)
    side.check_integers()
    words = f"as -1/+1 codes ({kind})" if side.codes else f"by sign ({kind})"
    signs = Reading(True, 0.0, words, not side.codes)
    if side.low < 0:
        return signs
    beside_signs = other is not None and other.low < 0
    if side.codes:
        # 0 is the middle of -1/+1 only where the other side has such zeros and lacks of -1 can be chance.
        middle = beside_signs and other is not None and other.zeros and side.plausible(other)
        return signs if middle else bits
    return signs if beside_signs and other is not None and side.plausible(other) else None
