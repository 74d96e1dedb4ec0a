"""One array inside a file, described before anything of it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics.codes import as_numpy

_DEEPEST = 6  # levels of nested dictionaries and groups that are looked through


@dataclass(frozen=True)
class Member:
    """An array of a file: its key (empty where the file is this one array) and how to read it.

    read: given the kind (codes, outputs, labels, ids, bits), the array. shape: None where it is not known before.
    size: the bytes that it claims. refused: why it cannot be read, empty otherwise. role: what it is
    ("query_labels", or "labels" of a set that is named elsewhere), where its key does not say so.
    """

    key: str
    read: Callable[[str], Any]
    shape: tuple[int, ...] | None = None
    size: int = 0
    refused: str = ""
    role: str = ""


def members_of(content: Any, key: str = "", depth: int = 0) -> Iterator[Member]:
    """The arrays in nested dictionaries (and a list at the top): "test/codes" for `{"test": {"codes": ...}}`."""
    nested = isinstance(content, (list, tuple)) and not depth and any(_is_array(one) for one in content)
    if isinstance(content, dict) or nested:
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        if depth < _DEEPEST:
            for name, value in pairs:
                yield from members_of(value, f"{key}/{name}" if key else str(name), depth + 1)
    elif _is_array(content) or isinstance(content, (list, tuple, int, float)):
        shape = _shape(content)
        width = max(4, getattr(content, "itemsize", 8))  # smaller floats are widened when they are read
        yield Member(
            key, lambda kind: _joined(content), shape, 0 if shape is None else math.prod(shape) * width
        )


def _shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, (int, float)):
        return ()
    if isinstance(value, (list, tuple)) or getattr(value, "is_nested", False):
        return None
    return tuple(map(int, value.shape))


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype")


def _joined(value: Any) -> Any:
    """A list of batches as one array; anything else as it is."""
    if isinstance(value, (list, tuple)) and value and all(_is_array(one) for one in value):
        parts = [as_numpy(one, "a part of a list") for one in value]
        return np.concatenate(parts) if parts[0].ndim > 1 else np.stack(parts)
    return value
