"""The record of one fit: scores, curve, protocol, environment, failure, and the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.errors import InputError
from benchmark.spec import FitSpec, Value
from benchmark.store.contents import npz, safetensors, table

#: Number of the record's layout.
RECORD_SCHEMA = 1

#: The folder of sample grids beside a record.
SAMPLES = "samples"

FailureKind = Literal["error", "not-finite", "out-of-memory", "timeout", "lost"]


class Damaged(InputError):
    """A record whose content is not one: cut short, overwritten, edited by hand. The fit can be made again.

    A file that cannot be opened, or is of a newer layout, is not damaged: it may hold a result.
    """


class Score(Value):
    """One number: what was measured, under which view and cut-off.

    view: the canonical name, `clean` for the plain protocol. metric: a name of `benchmark.metrics.METRICS`.
    k: the cut-off; None means the whole database, or a metric that has none. value: in the metric's unit.
    """

    view: str
    metric: str
    k: int | None = None
    value: float


class CurvePoint(Value):
    """The model during training: on the queries for the record only, never used for selection unless
    `selection` says so. `part` names what `map` was scored on. None: not asked for, or no such ability.

    step: the updates made; seconds: the training time up to there, without the evaluations. map: in 0..1.
    accuracy: of the class head on the queries, in 0..1; label_f1: the same for label sets, micro-averaged F1.
    fd_generated, fd_revised: Fréchet distance of the generator's images, and of the same after MCMC, in the
    features of the data set's own classifier, not Inception's; fid_generated, fid_revised: FID proper.
    diversity_generated, diversity_revised: deviation of pixels over that of real images. density_generated,
    density_revised, coverage_generated, coverage_revised: of Naeem et al. (2020), in the classifier's features.
    asked_class_generated, asked_class_revised: the share that the classifier gives the asked class.
    energy_gap_generated, energy_gap_revised: mean f of generated images less that of real ones. chain_raises_f: the
    share of chains that end at a higher f. chain_distance: mean move of a pixel, where pixels span [-1, 1].

    The record's `facts` named `curve_*` say how many images, against which reference, in which features.
    """

    step: int
    seconds: float
    map: float
    part: Literal["query", "tuning"]
    accuracy: float | None = None
    label_f1: float | None = None
    fd_generated: float | None = None
    fd_revised: float | None = None
    fid_generated: float | None = None
    fid_revised: float | None = None
    diversity_generated: float | None = None
    diversity_revised: float | None = None
    density_generated: float | None = None
    density_revised: float | None = None
    coverage_generated: float | None = None
    coverage_revised: float | None = None
    asked_class_generated: float | None = None
    asked_class_revised: float | None = None
    energy_gap_generated: float | None = None
    energy_gap_revised: float | None = None
    chain_raises_f: float | None = None
    chain_distance: float | None = None


class ProtocolFacts(Value):
    """The protocol as it was applied: part of every number.

    text: the protocol in a line; rules, rules_text: the rules of scoring, by name and as a sentence.
    queries, database, labelled, hidden, tuning, dropped: sizes in images; `hidden` were handed over without a
    label, `tuning` held out for the selection, `dropped` left out. label_rule, noise_rule: which labels
    were shown, and how some were made wrong. wrong_labels: how many training labels noise made wrong.
    selection_text: which model was scored. overlaps: how many images two parts share by row number.
    definition: the protocol itself. notes: what else a reader must know.
    """

    text: str
    rules: dict[str, Any]
    rules_text: str
    queries: int
    database: int
    labelled: int
    hidden: int
    tuning: int
    label_rule: str
    selection_text: str
    dropped: int = 0
    wrong_labels: int = 0
    noise_rule: str = ""
    overlaps: dict[str, int] = Field(default_factory=dict)
    definition: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ViewFacts(Value):
    """One evaluated view beside `clean`: what its name does not say. Its numbers are the scores of that name.

    kind, name, family, severity, target: the parsed name (`benchmark.spec.views.parse_view`). source: the data set
    that the changed images come from. queries, database: how many images; for `novelty`, `queries` counts both
    sides. classes: the classes that take part, by the fit's data set; empty means all. text: one line for
    captions. similarity: whether a novelty set is `near` or `far`, by the table in `docs/views.md`, or empty.
    official: corrupted images that were taken from the published CIFAR-10-C files. version: of the view's
    definition. evaluated, commit: when, and with which code.
    """

    view: str
    kind: str
    name: str = ""
    family: str = ""
    severity: int | None = None
    target: str = "queries"
    source: str = ""
    queries: int
    database: int
    classes: tuple[str, ...] = ()
    similarity: str = ""
    official: int = 0
    text: str = ""
    version: int = 1
    evaluated: str = ""
    commit: str = ""


class Timings(Value):
    """Seconds of each phase: load, train, encode, score, and their total with what is between them.

    train_images_per_second, encode_images_per_second: while training, and while encoding.
    """

    load: float = 0.0
    train: float = 0.0
    encode: float = 0.0
    score: float = 0.0
    total: float = 0.0
    train_images_per_second: float = 0.0
    encode_images_per_second: float = 0.0


class Environment(Value):
    """Where and with what a fit ran.

    versions: of Python and packages. platform, cpu: as the system names them. commit: of the checkout, `unknown`
    without one; dirty: whether tracked files differed from it, None where that is unknown; dirty_digest: of the
    difference. cores: those that the process could use; threads: those that the fit used. memory_gib: main memory.
    device, precision: what it ran on and in; deterministic: whether a GPU's libraries were held to algorithms that
    repeat bit for bit. compiled: which networks torch compiled for the training and how, or `no: ...` where that
    was asked for and could not be.
    """

    versions: dict[str, str]
    commit: str
    dirty: bool | None
    dirty_digest: str = ""
    platform: str
    cpu: str
    cores: int
    threads: int
    device: str
    precision: str
    memory_gib: float
    deterministic: bool = False
    compiled: str = ""

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `deterministic` and `compiled` where they were not asked for, as records before them."""
        told: dict[str, Any] = handler(self)
        return {key: told[key] for key in told if told[key] or key not in ("deterministic", "compiled")}


class Failure(Value):
    """Why a fit has no result: the kind, a message of one line, and the traceback where there was one."""

    kind: FailureKind
    message: str
    traceback: str = ""


class Record(Value):
    """One fit: what was asked for, what came out, and everything needed to judge and repeat it.

    record_schema: of this layout. spec: its identity, and `fit_id` the digest of that. state: `failed` comes with a
    `failure`. scores: every number of every view; views: what was evaluated beside `clean`. curve: the model during
    training. health: of the database codes, by `benchmark.metrics.code_health`; flags: in words, when codes have
    collapsed. facts: what method and data say of themselves. protocol: as it was applied. updates: optimiser steps
    made, fewer than batches where gradients are accumulated; selected_step: what the selection chose, None without
    one (it and the curve count batches). timings, environment: how long, and where. peak_memory_mib,
    peak_gpu_memory_mib: the most that the process, and its tensors on the GPU, held. source_digest: of the method's
    code alone. command: what makes this fit again. sweep: the saved sweep (`sweeps/<sweep>.toml`) that the fit was
    first run for. started, finished: times of ISO 8601.
    """

    record_schema: int = RECORD_SCHEMA
    fit_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    spec: FitSpec
    state: Literal["done", "failed"]
    scores: tuple[Score, ...] = ()
    views: tuple[ViewFacts, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    health: dict[str, float] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()
    facts: dict[str, str | int | float] = Field(default_factory=dict)
    protocol: ProtocolFacts | None = None
    updates: int = 0
    selected_step: int | None = None
    timings: Timings = Timings()
    peak_memory_mib: float = 0.0
    peak_gpu_memory_mib: float | None = None
    environment: Environment | None = None
    source_digest: str = ""
    command: str = ""
    sweep: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    started: str = ""
    finished: str = ""
    failure: Failure | None = None

    def score(self, metric: str = "map", view: str = "clean") -> float | None:
        """The value of one metric under one view.

        Parameters
        ----------
        metric, view : str
            As `Score` has them.

        Returns
        -------
        float or None
            In the metric's unit; None when it was not measured.
        """
        for score in self.scores:
            if score.metric == metric and score.view == view:
                return score.value
        return None


@dataclass(frozen=True)
class Artifacts:
    """The bulky part of a result: codes (arrays for `codes.npz`, those of views for `views.npz`), weights, curve
    rows, log text, and samples: the grids of generated images, by file name.
    """

    codes: Mapping[str, np.ndarray] = field(default_factory=dict)
    views: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    log: str = ""
    samples: Mapping[str, bytes] = field(default_factory=dict)

    def files(self) -> dict[str, bytes | None]:
        """The content of each file beside the record; None for one that this result does not have."""
        return {
            "codes.npz": npz(self.codes) if self.codes else None,
            "views.npz": npz(self.views) if self.views else None,
            "weights.safetensors": safetensors(self.weights) if self.weights else None,
            "curve.csv": table(self.curve).encode() if self.curve else None,
            "log.txt": self.log.encode(errors="backslashreplace") or None,
            **{f"{SAMPLES}/{name}": content for name, content in self.samples.items()},
        }
