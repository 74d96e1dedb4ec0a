"""What the names of a sweep stand for, looked up once for all the plans of a command, and checked on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.contracts import VECTORS, DatasetInfo
from benchmark.data import protocol
from benchmark.data.load import DatasetSummary, summarise
from benchmark.errors import InputError
from benchmark.registry.contained import contained
from benchmark.spec import LabelRule, Sweep
from benchmark.spec.views import View, expand_views
from benchmark.spec.weights import weights_for_task, weights_identity
from benchmark.sweep.wanted_views import sources_of

#: Stands where the fingerprint of a data set would, whose files are not here.
NO_FINGERPRINT = "0" * 16


@dataclass(frozen=True)
class Resolved:
    """What the names of a sweep stand for; every map is keyed by such a name.

    given: what methods are given of each data set, which is not its images where the backbone is frozen.
    task_weights: the weights with a file's absolute path.
    """

    methods: dict[str, registry.Entry]
    params: dict[str, dict[str, Any]]
    datasets: dict[str, DatasetInfo]
    given: dict[str, DatasetInfo]
    protocols: dict[str, protocol.Protocol]
    fingerprints: dict[str, str]
    weights: str
    task_weights: str
    views: tuple[View, ...]
    others: dict[str, DatasetInfo]
    class_splits: tuple[int | None, ...]
    notes: tuple[str, ...] = ()


class Lookup:
    """Looks names up under one data folder; every data set is read and every split tried once.

    without_data: go on where a data set's files are missing; `absent` then holds why, by name, and what can be
    known without the files is checked all the same. Otherwise missing files raise InputError.
    """

    def __init__(self, data_root: Path | None, *, without_data: bool = False) -> None:
        self.root = data_root
        self.absent: dict[str, str] = {}
        self._without_data = without_data
        self._summaries: dict[str, DatasetSummary] = {}
        self._drawn: set[tuple[object, ...]] = set()

    def facts(self, sweep: Sweep) -> Resolved:
        """Check every name, parameter, protocol and data folder of a sweep. Raises InputError for a bad one."""
        _check_assignments(sweep)
        methods = {name: registry.find("methods", name) for name in sweep.methods}
        params = {name: _params(name, sweep) for name in sweep.methods}
        weights, for_task = weights_identity(sweep.weights), weights_for_task(sweep.weights)
        infos = {name: self.info(name) for name in sweep.datasets}
        protocols = {name: protocol.resolve(sweep.protocol, info) for name, info in infos.items()}
        fingerprints = {name: self.fingerprint(name) for name in sweep.datasets}
        for name, rule in protocols.items():
            self._check_draws(name, rule, sweep)
            _check_backbone(infos[name], sweep, for_task)
        given = {name: _given(info, sweep, for_task) for name, info in infos.items()}
        views = expand_views(sweep.views)
        for name, rule in protocols.items():
            if rule.neighbours is not None:
                _check_neighbours(rule, given[name], sweep, views)
        others = {name: self._other(name, sweep.seeds[0]) for name in sources_of(views)}
        splits = _class_splits(sweep, views, infos)
        notes = tuple(note for name, rule in protocols.items() for note in self._unasked(name, rule, sweep))
        return Resolved(
            methods,
            params,
            infos,
            given,
            protocols,
            fingerprints,
            weights,
            for_task,
            views,
            others,
            splits,
            notes,
        )

    def info(self, name: str) -> DatasetInfo:
        """A data set's facts. Raises InputError for an unknown name."""
        return registry.find("datasets", name, self.root).dataset_info

    def fingerprint(self, name: str) -> str:
        """A data set's fingerprint; `NO_FINGERPRINT` where its files may be missing and are."""
        found = self._glance(name)
        return NO_FINGERPRINT if found is None else found.fingerprint

    def images(self, name: str) -> int:
        """How many images a data set holds here; without its files as many as were released (0: not known)."""
        found = self._glance(name)
        return (self.info(name).images or 0) if found is None else len(found.labels)

    def summary(self, name: str) -> DatasetSummary | None:
        """A data set's labels and parts; None where its files may be missing and are."""
        return self._glance(name)

    def _glance(self, name: str) -> DatasetSummary | None:
        if name not in self._summaries and name not in self.absent:
            try:
                with contained():
                    self._summaries[name] = summarise(registry.dataset(name, self.root), self.root)
            except InputError as error:
                if not self._without_data:
                    raise
                self.absent[name] = str(error)
        return self._summaries.get(name)

    def _check_draws(self, name: str, rule: protocol.Protocol, sweep: Sweep) -> None:
        """Try every label share once: whether a class has enough images does not depend on the seed."""
        tuning = sweep.selection == "val"
        for shown in dict.fromkeys(one.model_copy(update={"noise": 0.0}) for one in sweep.label_rules()):
            self._try(name, rule, sweep.seeds[0], shown, tuning=tuning)

    def _unasked(self, name: str, rule: protocol.Protocol, sweep: Sweep) -> Iterator[str]:
        """What a reader must know before anything runs: classes of which no image is a query."""
        found = self._glance(name)
        if found is None or rule.neighbours is not None:
            return
        info = registry.dataset(name, self.root).info
        for seed in sweep.seeds if rule.draw == "random" else sweep.seeds[:1]:
            query = protocol.draw(rule, info, found.labels, seed, parts=found.parts).query
            left_out = protocol.unasked(query, found.labels, info)
            if left_out:
                shown = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
                yield (
                    f"{name}, seed {seed}: protocol {rule.name!r} asks with no image of {len(left_out)} of "
                    f"{len(info.classes)} classes ({shown}), so the scores say nothing of them; per-class and "
                    "stratified draws ask with every class that is large enough"
                )

    def _other(self, name: str, seed: int) -> DatasetInfo:
        """The facts of a data set that a view reads, once its files are found and its parts drawn."""
        info = self.info(name)
        self._try(name, protocol.resolve("default", info), seed, LabelRule())
        return info

    def _try(
        self, name: str, rule: protocol.Protocol, seed: int, shown: LabelRule, *, tuning: bool = False
    ) -> None:
        found = self._glance(name)
        key = (name, rule, shown, tuning)
        if found is None or key in self._drawn:
            return
        info = registry.dataset(name, self.root).info
        protocol.draw(rule, info, found.labels, seed, shown, parts=found.parts, tuning=tuning)
        self._drawn.add(key)


def _check_neighbours(
    rule: protocol.Protocol, given: DatasetInfo, sweep: Sweep, views: tuple[View, ...]
) -> None:
    """Raise InputError for what true neighbours do not go with."""
    if given.inputs != "vectors":
        raise InputError(
            f"protocol {rule.name!r} ranks vectors, {given.name!r} holds images: add --frozen with a --backbone, "
            "or name a data set of vectors"
        )
    if sweep.selection != "last":
        raise InputError(
            f"--selection {sweep.selection} ranks by labels; protocol {rule.name!r} takes `last` alone"
        )
    if not given.labelled and any(not shown.full or shown.noise for shown in sweep.label_rules()):
        raise InputError(f"data set {given.name!r} has no labels to show a share of, or to make wrong")
    for view in views:
        if view.kind != "clean":
            raise InputError(f"view {view} ranks by labels; protocol {rule.name!r} takes `clean` alone")


def _check_assignments(sweep: Sweep) -> None:
    for name in sweep.params:
        if name not in sweep.methods:
            registry.find("methods", name)  # a misspelt name gets its suggestions
            raise InputError(
                f"--set names method {name!r}, which is not in this sweep: {', '.join(sweep.methods)}"
            )


def _params(name: str, sweep: Sweep) -> dict[str, Any]:
    """A method's parameters. Raises InputError for a bad one, or where they ask for what the selection forbids."""
    found = registry.method_params(name, sweep.params.get(name, {}))
    if registry.method_class(name).stops_after(found) and sweep.selection != "val":
        raise InputError(
            f"{name} is to stop early by held-out training images, and their best model is the one to score: give "
            f"--selection val in the place of {sweep.selection}"
        )
    return found.model_dump(mode="json")


def _given(info: DatasetInfo, sweep: Sweep, weights: str) -> DatasetInfo:
    """What methods are given of a data set: itself, or a frozen backbone's features of its images."""
    if not sweep.frozen:
        return info
    task = info.task(sweep.bits[0], sweep.backbone, weights, sweep.preprocessing)
    return info.as_vectors(registry.backbone_features(task))


def _check_backbone(info: DatasetInfo, sweep: Sweep, weights: str) -> None:
    """Raise InputError for a backbone that is unknown, lacks the weights, or that vectors cannot have."""
    if info.inputs == "images":
        registry.check_backbone(info.task(sweep.bits[0], sweep.backbone, weights, sweep.preprocessing))
    elif sweep.backbone not in (Sweep().backbone, VECTORS) or sweep.weights != "none" or sweep.frozen:
        raise InputError(
            f"data set {info.name!r} holds vectors, which no backbone takes: leave out --backbone, --weights and "
            "--frozen, or name data sets of images"
        )


def _class_splits(
    sweep: Sweep, views: tuple[View, ...], infos: dict[str, DatasetInfo]
) -> tuple[int | None, ...]:
    """None for the fits on every class, unless unseen classes are all that is asked for; then the class splits."""
    unseen = [view for view in views if view.kind == "unseen-classes"]
    for info in infos.values() if unseen else ():
        protocol.seen_classes(info, sweep.class_splits[0])
    return (*((None,) if len(views) > len(unseen) else ()), *(sweep.class_splits if unseen else ()))
