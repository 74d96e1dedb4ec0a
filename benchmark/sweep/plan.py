"""Plan a sweep: every point of its grid as a fit and its state in the store, before anything runs or is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark import registry
from benchmark.contracts import VECTORS, DatasetInfo
from benchmark.errors import InputError
from benchmark.spec import FitSpec, GridPoint, Sweep
from benchmark.spec.command import SHARED
from benchmark.spec.sweep import AXES
from benchmark.spec.views import View
from benchmark.store.index import Index
from benchmark.store.store import RESUMED, Store
from benchmark.sweep.lookup import Lookup, Resolved
from benchmark.sweep.wanted_views import views_of_fit

#: `absent`: its data set's files are not here; only a plan that asks for no data holds such fits.
State = Literal["planned", "done", "failed", "stale", "skipped", "absent"]


@dataclass(frozen=True)
class PlannedFit:
    """One fit of a plan: what it is, what is known of it, and whether it will run.

    `stamp` is the store's stamp of its record at the time of planning; `fresh` says that a run must not continue
    a training state that an earlier one left. `views` are those beside `clean` that the sweep wants of it; `extend`
    says that only views are missing, which need no training; `damaged` that there is a record which cannot be read.
    """

    label: str
    state: State
    reason: str = ""
    fit: FitSpec | None = None
    run: bool = False
    stamp: int | None = None
    fresh: bool = False
    views: tuple[View, ...] = ()
    extend: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class Plan:
    """All fits of a sweep, in the order in which they run."""

    sweep: Sweep
    fits: tuple[PlannedFit, ...]
    notes: tuple[str, ...] = ()

    @property
    def to_run(self) -> list[FitSpec]:
        """The fits that will run, or get views."""
        return [planned.fit for planned in self.fits if planned.run and planned.fit is not None]

    def counts(self) -> Counter[str]:
        """Fits per state."""
        return Counter(planned.state for planned in self.fits)


def plan(
    sweep: Sweep,
    store: Store,
    data_root: Path | None,
    retry: frozenset[str] = frozenset(),
    known: Lookup | None = None,
) -> Plan:
    """Resolve every point of a sweep's grid to a fit and its state in the store.

    Names, parameters, protocols and data folders are all checked here, before anything runs or is written.
    known: what earlier plans of the same data folder looked up. Raises InputError for anything the user must mend;
    fits that a method does not support are skipped with the reason, and with a `known` that tolerates missing
    data, fits on data sets without files are `absent`.
    """
    known = known or Lookup(data_root)
    facts, index = known.facts(sweep), Index(store)
    reasons, notes = dict[tuple[str, str, int], str](), dict.fromkeys(facts.notes)
    wanted = _wanted_views(sweep, facts)
    fits = []
    for point in sweep.points(facts.class_splits):
        spec, entry = _fit(sweep, facts, point), facts.methods[point.method]
        key = (point.dataset, point.method, point.bits)  # all that `supports` looks at
        if key not in reasons:
            reasons[key] = _unsupported(spec, facts.given[point.dataset], entry, facts.task_weights)
        views, left_out = wanted[point.dataset, point.class_split is not None]
        notes |= dict.fromkeys(left_out)
        if point.dataset in known.absent and not reasons[key]:
            fits.append(PlannedFit(spec.label, "absent", "files missing", spec, views=views))
        else:
            fits.append(_planned(spec, reasons[key], entry, index, retry, views))
    index.keep()
    return Plan(sweep, tuple(fits), tuple(notes))


def _wanted_views(
    sweep: Sweep, facts: Resolved
) -> dict[tuple[str, bool], tuple[tuple[View, ...], tuple[str, ...]]]:
    """(data set, whether a class split trains) -> the views beside `clean`, and what is left out and why."""
    return {
        (name, split is not None): views_of_fit(facts.views, facts.datasets[name], split, facts.others)
        for name in sweep.datasets
        for split in facts.class_splits
    }


def _fit(sweep: Sweep, facts: Resolved, point: GridPoint) -> FitSpec:
    """The identity of the fit at a point of the grid."""
    entry, rule, labels = facts.methods[point.method], facts.protocols[point.dataset], point.labels
    gradient, images = entry.info["trained_by"] == "updates", facts.datasets[point.dataset].inputs == "images"
    own = {
        **{name: getattr(point, name) for name in AXES},
        "method_version": entry.info["version"],
        "params": facts.params[point.method],
        "fingerprint": facts.fingerprints[point.dataset],
        "protocol": rule.name,
        "protocol_version": rule.version,
        "backbone": sweep.backbone if images else VECTORS,
        "weights": facts.weights,
        "label_fraction": labels.fraction,
        "labels_per_class": labels.per_class,
        "label_noise": labels.noise,
        "class_split": point.class_split,
        "epochs": (sweep.epochs or facts.datasets[point.dataset].epochs) if gradient else None,
        "batch_size": sweep.batch_size if gradient else None,
        "head": sweep.head if gradient else "",
    }
    return FitSpec(**{**{name: getattr(sweep, name) for name in SHARED}, **own})


def _unsupported(spec: FitSpec, info: DatasetInfo, entry: registry.Entry, weights: str) -> str:
    """Why the method cannot run the fit; `info` is of what it is given."""
    kind = "multi" if info.multi_label else "single"
    if not info.labelled and entry.info["supervision"] != "unsupervised":
        return f"{spec.method} learns from labels, {spec.dataset} has none"
    if kind not in entry.info["labels"] and info.labelled:
        return f"{spec.method} is for {'/'.join(entry.info['labels'])}-label data, {spec.dataset} is {kind}-label"
    task = info.task(spec.bits, spec.backbone, weights, spec.preprocessing, spec.head)
    return registry.unsupported(spec.method, task)


def _planned(
    spec: FitSpec,
    reason: str,
    entry: registry.Entry,
    index: Index,
    retry: frozenset[str],
    views: tuple[View, ...] = (),
) -> PlannedFit:
    label = spec.label
    if reason:
        return PlannedFit(label, "skipped", reason)
    row = index.row(spec)
    if row is None:
        return PlannedFit(label, "planned", fit=spec, run=True, views=views)
    if row.problem:
        if not row.damaged:
            raise InputError(row.problem)
        text = f"{row.problem}; it is set aside and the fit runs again"
        return PlannedFit(label, "planned", text, spec, True, row.mtime_ns, False, views, damaged=True)
    again = "all" in retry
    missing = [view for view in views if f"{view}#{view.version}" not in row.has]
    if row.state == "failed":
        fresh = row.kind not in RESUMED
        run = again or "failed" in retry
        return PlannedFit(label, "failed", row.reason, spec, run, row.mtime_ns, fresh, views)
    if not entry.is_current(row.source_digest):
        text = "its method's source changed since"
        if missing:
            text += f"; {count_views(missing)} missing, not evaluated with it (--retry stale trains it anew)"
        return PlannedFit(label, "stale", text, spec, again or "stale" in retry, row.mtime_ns, True, views)
    if missing and not again:
        text = f"{count_views(missing)} missing, from stored weights"
        return PlannedFit(label, "planned", text, spec, True, row.mtime_ns, False, views, extend=True)
    return PlannedFit(label, "done", fit=spec, run=again, stamp=row.mtime_ns, fresh=True, views=views)


def count_views(views: Sequence[View]) -> str:
    """`1 view` or `75 views`."""
    return f"{len(views)} view{'' if len(views) == 1 else 's'}"
