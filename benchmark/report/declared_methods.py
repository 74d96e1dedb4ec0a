"""What a report takes from the declarations of methods: versions, defaults, titles, which are variants of which.

A committed report says what it took, so that it can be made again after a method has changed: see `write.check`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from benchmark import registry

_REMEMBERED: ContextVar[Mapping[str, Known]] = ContextVar("remembered", default={})  # noqa: B039 - never changed


@dataclass(frozen=True)
class Known:
    """A declared method. `base` is the method that it is a variant of; empty for one that is none."""

    version: int
    title: str
    defaults: dict[str, Any]
    base: str = ""


def known(method: str) -> Known | None:
    """A method as it is declared now, or as a committed report remembers it; None when neither knows it."""
    return _REMEMBERED.get().get(method) or _declared().get(method)


def titled(row: str) -> str:
    """A row's method by its title, with what the row says beyond the name; as it is where the title would not tell
    it from another method's, or no declaration is known.
    """
    method, space, rest = row.partition(" ")
    declared = known(method)
    if declared is None or not declared.title:
        return row
    same = [one for one in {**_declared(), **_REMEMBERED.get()}.values() if one.title == declared.title]
    return row if len(same) > 1 else f"{declared.title}{space}{rest}"


def variants_of(base: str) -> list[str]:
    """Every declared variant of a method."""
    return sorted(name for name, one in {**_declared(), **_REMEMBERED.get()}.items() if one.base == base)


def snapshot(methods: Iterable[str]) -> dict[str, Any]:
    """What is known of some methods and of all that share a base with them, JSON-ready."""
    families = {one.base or name for name in methods if (one := known(name)) is not None}
    family = sorted({*families, *(name for base in families for name in variants_of(base))})
    return {name: asdict(one) for name in family if (one := known(name)) is not None}


@functools.cache
def looks() -> dict[str, Sequence[str]]:
    """Method -> colour, marker and line, of those that declare them."""
    return {entry.name: entry.info["look"] for entry in registry.entries("methods") if entry.info.get("look")}


@functools.cache
def without_labels() -> frozenset[str]:
    """The declared methods that learn from no labels."""
    entries = registry.entries("methods")
    return frozenset(entry.name for entry in entries if entry.info.get("supervision") == "unsupervised")


@contextmanager
def remembering(told: Mapping[str, Any]) -> Iterator[None]:
    """Let a `snapshot` answer for its methods. Raises TypeError for one of another form."""
    token = _REMEMBERED.set({name: Known(**facts) for name, facts in told.items()})
    try:
        yield
    finally:
        _REMEMBERED.reset(token)


@functools.cache
def _declared() -> dict[str, Known]:
    usable = [entry for entry in registry.entries("methods") if not entry.error]
    bases = {(entry.module, entry.qualname): entry.name for entry in usable if not entry.preset}
    return {
        entry.name: Known(
            version=int(entry.info["version"]),
            title=str(entry.info["title"]),
            defaults=dict(entry.defaults),
            base=bases.get((entry.module, entry.qualname), "") if entry.preset else "",
        )
        for entry in usable
    }
