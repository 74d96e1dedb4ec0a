"""An artifact: one table or figure of the report, declared once."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmark.errors import unknown
from benchmark.report.context import Context
from benchmark.report.tables.cells import Drawn
from benchmark.store.record import Record


@dataclass(frozen=True)
class Artifact:
    """What it is called, which records it needs, which suite makes them, and how it is drawn.

    name, aliases: what `--only` takes; `figure3` is a paper's number for it. order: place in the report.
    `build` takes what there is, and returns what is missing as gaps. codes: the records whose whole codes it reads,
    not only each query's score; curves: whether it reads training curves row by row (`compact` keeps both for it).
    """

    name: str
    title: str
    needs: str
    suite: str
    order: int
    build: Callable[[Context], Drawn]
    aliases: tuple[str, ...] = ()
    codes: Callable[[Context], Iterable[Record]] = lambda ctx: ()
    curves: bool = False


def artifacts() -> list[Artifact]:
    """Every artifact in the order of the report: the module constant `ARTIFACT` of each file in the folder."""
    from benchmark.report import artifacts as package

    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            found.append(importlib.import_module(f"{package.__name__}.{module.name}").ARTIFACT)
    return sorted(found, key=lambda one: (one.order, one.name))


def choose(names: str | None) -> list[Artifact]:
    """The artifacts named in `a,b`, in the report's order; all of them for None.

    Raises InputError, with suggestions, for an unknown name.
    """
    everything = artifacts()
    if names is None:
        return everything
    by_name = {name: one for one in everything for name in (one.name, *one.aliases)}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted or [""]:
        if name not in by_name:
            raise unknown("artifact", name, by_name)
    chosen = {by_name[name].name for name in wanted}
    return [one for one in everything if one.name in chosen]
