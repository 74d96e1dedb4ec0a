"""Records sorted into groups whose numbers may share a table: one protocol, one budget, one of everything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark import registry
from benchmark.errors import InputError
from benchmark.records import Record
from benchmark.spec import digest
from benchmark.summary import captions


@dataclass(frozen=True)
class Group:
    """Records that differ in method, parameters, bits and seed only.

    Methods without gradient training have no budget: they join every budget of their data and protocol.
    """

    dataset: str
    protocol: str
    label_fraction: float
    selection: str
    slug: str
    title: str
    captions: tuple[str, ...]
    records: tuple[Record, ...]


def group_records(records: Iterable[Record]) -> list[Group]:
    """Groups in a stable order: by data set, protocol, label share, selection, budget."""
    everything = list(records)
    keys = {_key(record): None for record in everything}
    budgets: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for base, budget in keys:
        budgets.setdefault(base, set()).add(budget)
    groups = []
    for base in sorted(budgets):
        real = sorted(budget for budget in budgets[base] if budget) or [()]
        for budget in real:
            members = [r for r in everything if _key(r)[0] == base and _key(r)[1] in ((), budget)]
            groups.append(_group(members, base, budget, alone=len(real) == 1))
    return groups


def _key(record: Record) -> tuple[tuple[str, ...], tuple[str, ...]]:
    spec = record.spec
    base = (
        spec.dataset,
        f"{spec.protocol} v{spec.protocol_version}",
        spec.fingerprint,
        f"{spec.label_fraction:g}",
        f"{spec.label_noise:g}",
        spec.selection,
        spec.backbone,
        spec.weights,
        spec.precision,
        digest(record.protocol.rules if record.protocol else {}),
    )
    budget = () if spec.epochs is None else (f"{spec.epochs:06d}", f"{spec.batch_size:06d}")
    return base, budget


def _group(records: list[Record], base: tuple[str, ...], budget: tuple[str, ...], *, alone: bool) -> Group:
    first = records[0].spec
    name = first.dataset if first.label_fraction == 1 else f"{first.dataset}-{first.label_fraction:g}-labels"
    parts = [name, first.protocol, first.selection, first.backbone]
    if budget and not alone:
        parts.append(f"{int(budget[0])}-epochs")
    parts.append(digest([base, budget], 6))
    title = f"{first.dataset}, {first.protocol}"
    title += f", {first.label_fraction:g} of the labels" if first.label_fraction < 1 else ""
    title += f", selection {first.selection}" if first.selection != "last" else ""
    title += f", {int(budget[0])} epochs" if budget and not alone else ""
    return Group(
        dataset=first.dataset,
        protocol=first.protocol,
        label_fraction=first.label_fraction,
        selection=first.selection,
        slug=re.sub(r"[^a-z0-9-]+", "-", "-".join(parts)),
        title=title,
        captions=tuple(captions(records)),
        records=tuple(sorted(records, key=lambda r: (r.spec.method, r.spec.bits, r.spec.seed, r.fit_id))),
    )


def row_name(record: Record) -> str:
    """The method as a row of a table: its name (with an older version), and parameters off their defaults."""
    spec = record.spec
    try:
        entry = registry.find("methods", spec.method)
        defaults, current = entry.defaults, entry.info["version"]
    except InputError:  # a method that is not installed here
        defaults, current = spec.params, spec.method_version
    name = spec.method if spec.method_version == current else f"{spec.method} v{spec.method_version}"
    changed = [f"{key}={value}" for key, value in sorted(spec.params.items()) if defaults.get(key) != value]
    return f"{name} ({', '.join(changed)})" if changed else name
