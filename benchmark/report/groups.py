"""Records sorted into groups whose numbers may share a table: one protocol, one budget, one of everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from benchmark.report.declared_methods import known
from benchmark.report.run_summary import captions
from benchmark.spec import FitSpec, digest
from benchmark.store.record import Record

#: What must agree before two numbers may share a table, by name: each an artifact may let vary on purpose.
CONDITIONS: dict[str, Callable[[FitSpec], str]] = {
    "dataset": lambda spec: spec.dataset,
    "protocol": lambda spec: f"{spec.protocol} v{spec.protocol_version}",
    "fingerprint": lambda spec: spec.fingerprint,
    "share": lambda spec: spec.label_rule.share,
    "hidden": lambda spec: "" if spec.label_rule.full else spec.hidden_images,
    "noise": lambda spec: f"{spec.label_noise:g} {spec.noise_kind}" if spec.label_noise else "",
    "class_split": lambda spec: "" if spec.class_split is None else str(spec.class_split),
    "selection": lambda spec: spec.selection,
    "backbone": lambda spec: spec.network,
    "weights": lambda spec: spec.weights,
    "precision": lambda spec: spec.precision,
}


@dataclass(frozen=True)
class Group:
    """Records that differ in method, parameters, bits and seed only, and in what the caller let vary.

    Methods without gradient training have no budget: they join every budget of their data and protocol.
    `slug` is unique among the groups of one call and fit for a file name.
    """

    dataset: str
    protocol: str
    label_fraction: float
    selection: str
    slug: str
    title: str
    captions: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def spec(self) -> FitSpec:
        """One specification of the group: of a gradient-trained fit where there is one."""
        return next((r.spec for r in self.records if r.spec.epochs is not None), self.records[0].spec)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that some record of the group has."""
        return tuple(sorted({record.spec.seed for record in self.records}))

    def at(self, bits: int, *, variants: bool = True) -> tuple[Record, ...]:
        """The records of one code length; without declared variants if so asked."""
        return self.of(lambda r: r.spec.bits == bits and (variants or not is_variant(r.spec.method)))

    def of(self, keep: Callable[[Record], bool]) -> tuple[Record, ...]:
        """The records for which `keep` is true."""
        return tuple(record for record in self.records if keep(record))


def group_records(records: Iterable[Record], vary: Iterable[str] = ()) -> list[Group]:
    """Groups in a stable order: by data set, protocol, label share, selection, budget.

    vary: names of CONDITIONS that may differ inside a group.
    """
    everything, free = list(records), frozenset(vary)
    keyed = _keyed(everything, free)
    budgets: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for (base, budget), _ in keyed:
        budgets.setdefault(base, set()).add(budget)
    groups = []
    for base in sorted(budgets):
        real = sorted(budget for budget in budgets[base] if budget) or [()]
        for budget in real:
            members = [r for (own, its), r in keyed if own == base and its in ((), budget)]
            groups.append(_group(members, base, budget, free, alone=len(real) == 1))
    return [replace(one, title=f"{one.title}{_apart(one, groups)}") for one in groups]


def _apart(group: Group, groups: list[Group]) -> str:
    """What tells a group from those that would have its title: the conditions in which they differ."""
    others = [one for one in groups if one.title == group.title]
    if len(others) == 1:
        return ""
    values = {name: {value(one.spec) for one in others} for name, value in CONDITIONS.items()}
    told = [f", {name} {CONDITIONS[name](group.spec)}" for name, found in values.items() if len(found) > 1]
    rules = {"; ".join(sorted({r.protocol.rules_text for r in one.records if r.protocol})) for one in others}
    own = sorted({record.protocol.rules_text for record in group.records if record.protocol})
    told += [f", {'; '.join(own)}"] if len(rules) > 1 else []
    return "".join(told) or f", {group.slug[-6:]}"


def _keyed(
    records: list[Record], free: frozenset[str]
) -> list[tuple[tuple[tuple[str, ...], tuple[str, ...]], Record]]:
    """(group, budget) of each record. A failed one may not know its rules: it joins what agrees in the rest."""
    keyed = [(_key(record, free), record) for record in records]
    alike: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for (base, _), record in keyed:
        if record.protocol is not None:
            alike.setdefault(base[:-1], set()).add(base)
    return [
        ((one, budget), record)
        for (base, budget), record in keyed
        for one in ([base] if record.protocol else sorted(alike.get(base[:-1], {base})))
    ]


def _key(record: Record, free: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    spec = record.spec
    parts = ["" if name in free else value(spec) for name, value in CONDITIONS.items()]
    rules = digest(record.protocol.rules) if record.protocol else ""
    base = (*parts, "" if "rules" in free else rules)
    budget = () if spec.epochs is None else (f"{spec.epochs:06d}", f"{spec.batch_size:06d}")
    return base, budget


def _group(
    records: list[Record],
    base: tuple[str, ...],
    budget: tuple[str, ...],
    free: frozenset[str],
    *,
    alone: bool,
) -> Group:
    first = records[0].spec
    share = "" if "share" in free or first.label_rule.full else first.label_rule.share
    parts = [first.dataset if not share else f"{first.dataset}-{share.replace(' ', '-')}-labels"]
    parts += [first.protocol, *([] if "selection" in free else [first.selection]), first.backbone]
    title = f"{first.dataset}, {first.protocol}"
    title += f", {share} of the labels" if share and first.labels_per_class is None else ""
    title += f", {share}" if share and first.labels_per_class is not None else ""
    title += f", label noise {first.label_noise:g}" if first.label_noise and "noise" not in free else ""
    if first.class_split is not None and "class_split" not in free:
        title += f", class split {first.class_split}"
    title += f", selection {first.selection}" if first.selection != "last" and "selection" not in free else ""
    if budget and not alone:
        parts.append(f"{int(budget[0])}-epochs")
        title += f", {int(budget[0])} epochs of batch {int(budget[1])}"
    parts.append(digest([base, budget], 6))
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
    spec, declared = record.spec, known(record.spec.method)
    if declared is None:  # a method that is not installed here
        return spec.method
    current, defaults = declared.version, declared.defaults
    name = spec.method if spec.method_version == current else f"{spec.method} v{spec.method_version}"
    changed = [f"{key}={value}" for key, value in sorted(spec.params.items()) if defaults.get(key) != value]
    return f"{name} ({', '.join(changed)})" if changed else name


def is_plain(record: Record) -> bool:
    """Whether every parameter stands at its default. The defaults of an older version are not known any more:
    there it is whether the command set none.
    """
    declared = known(record.spec.method)
    if declared is None or record.spec.method_version != declared.version:
        return f"{record.spec.method}." not in record.command
    return "(" not in row_name(record)


def is_variant(method: str) -> bool:
    """Whether a method is a declared variant (an ablation, a baseline) of another one."""
    declared = known(method)
    return declared is not None and bool(declared.base)
