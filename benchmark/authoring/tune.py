"""A small search of learning rates (and of what a method declares), with equal trials for every method.

Trials train on nine tenths of the labelled training images and are scored on the rest: each tuning image is a query
against the other ones, as most of a test's database was never trained on either. (Against the images that a trial
was trained on, the rate that memorises best would win.) The test queries and the database are not even loaded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError

from benchmark import metrics, registry
from benchmark.contracts import FitContext
from benchmark.data import protocol
from benchmark.data.load import LoadedDataset, load
from benchmark.data.protocol import Protocol, Split
from benchmark.errors import InputError, one_line
from benchmark.files.write import write_file
from benchmark.fit.devices import numerics, resolve_precision
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.frozen import frozen_features
from benchmark.fit.randomness import isolated_generators, root_seed, seed_everything
from benchmark.fit.runtime import Progress, Runtime
from benchmark.registry.contained import contained
from benchmark.spec import PLAIN, FitSpec, Preprocessing, Sweep, Value, digest, seed_stream
from benchmark.spec.fit import Head

#: The most and the fewest trials that make sense.
TRIALS = (2, 200)


class Setting(Value):
    """What is equal for every method of a search."""

    dataset: str
    fingerprint: str
    protocol: str
    backbone: str
    weights: str
    bits: int = Field(ge=1, le=4096)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    seed: int = Field(ge=0, lt=2**31)
    trials: int = Field(ge=TRIALS[0], le=TRIALS[1])
    frozen: bool = False
    preprocessing: Preprocessing = PLAIN
    head: Head = ""
    database: Literal["labelled", "tuning"] = "labelled"  # older studies ranked the images trained on

    def flags(self) -> str:
        """What decides how a method reads an image, as the flags of `run` say it."""
        given = (("preprocessing", self.preprocessing.as_text()), ("head", self.head))
        words = [f"--{name} {text}" for name, text in given if text]
        return (
            " ".join(["--frozen"] * self.frozen + words) or "neither --frozen nor --preprocessing nor --head"
        )


class Trial(Value):
    """One trial: parameters that differ from the defaults, and its mAP on the tuning images or its failure."""

    params: dict[str, Any]
    score: float | None
    seconds: float
    error: str = ""


class Tuned(Value):
    """A method's search: its trials and the parameters of the best one."""

    method: str
    version: int
    source_digest: str
    best: dict[str, Any]
    score: float
    trials: tuple[Trial, ...]


class Study(Value):
    """A file of searches under one setting; `run --tuned FILE` takes its `best` parameters."""

    setting: Setting
    methods: dict[str, Tuned] = Field(default_factory=dict)


@dataclass(frozen=True)
class TuningData:
    """A setting with its data: what trials run on. data: images, or the features of a frozen backbone."""

    setting: Setting
    data: LoadedDataset
    split: Split
    rule: Protocol
    device: str = "cpu"
    weights_file: str = ""


def prepare(
    setting: Setting,
    data_root: Path | None,
    device: str = "cpu",
    weights_file: str = "",
    progress: Callable[[Progress], None] = lambda event: None,
) -> TuningData:
    """Load the data, or a frozen backbone's features of them, and draw the tuning split: no queries, no database.

    Raises InputError when the data cannot be read or a class has too few images.
    """
    data = load(registry.dataset(setting.dataset, data_root), data_root)
    if setting.frozen:
        runtime = Runtime(device=device, weights_file=weights_file)
        root = root_seed(data.info, setting.seed)
        data = frozen_features(data, _as_fit(setting), runtime, root, progress).data
    rule = protocol.resolve(setting.protocol, data.info)
    if rule.neighbours is not None:
        raise InputError(f"tune ranks by labels; protocol {rule.name!r} has none")
    split = protocol.draw(rule, data.info, data.labels, setting.seed, parts=data.parts, tuning=True)
    nothing = np.array([], dtype=np.int64)
    blind = replace(split, query=nothing, database=nothing)
    return TuningData(setting, data, blind, rule, device, weights_file)


def _as_fit(setting: Setting) -> FitSpec:
    """A fit with the features of this setting."""
    same = {name: getattr(setting, name) for name in Setting.model_fields if name in FitSpec.model_fields}
    return FitSpec(**same, method="tune", method_version=1, params={}, protocol_version=1, label_fraction=1)


def search(name: str, bench: TuningData, note: Callable[[str], None] = lambda text: None) -> Tuned:
    """Run a method's trials and keep the best; ties go to the earlier trial.

    Raises InputError when every trial failed.
    """
    entry = registry.find("methods", name)
    trials = []
    for number, params in enumerate(candidates(name, bench.setting.trials)):
        trials.append(run_trial(name, params, bench))
        shown = "failed: " + trials[-1].error if trials[-1].score is None else f"mAP {trials[-1].score:.4f}"
        values = ", ".join(f"{key} {value:g}" for key, value in params.items())
        note(f"{name} trial {number + 1}/{bench.setting.trials}: {values}: {shown}")
    finished = [trial for trial in trials if trial.score is not None]
    if not finished:
        raise InputError(f"every trial of {name!r} failed; the first: {trials[0].error}")
    best = max(finished, key=lambda trial: trial.score or 0.0)
    return Tuned(
        method=name,
        version=entry.info["version"],
        source_digest=entry.digest,
        best=best.params,
        score=best.score or 0.0,
        trials=tuple(trials),
    )


def search_space(name: str) -> dict[str, tuple[float, float]]:
    """The ranges that a method declares for the search: `lr` for gradient-trained ones, more if it says so."""
    return dict(getattr(registry.method_class(name).Params, "search", {}))


def candidates(name: str, count: int) -> list[dict[str, Any]]:
    """`count` parameter sets, the same on every machine.

    Along each declared range the values are evenly spaced on a log scale; with several ranges each has its own
    order, so that they cover the space together (a Latin hypercube). Raises InputError for a method that
    declares nothing to search.
    """
    space = search_space(name)
    if not space:
        raise InputError(f"method {name!r} declares nothing to search, so there is nothing to tune")
    columns = {}
    for place, (key, (low, high)) in enumerate(sorted(space.items(), key=lambda item: item[0] != "lr")):
        values = [float(f"{value:.3g}") for value in np.geomspace(low, high, count)]
        generator = np.random.default_rng(seed_stream("tune", name, key))
        order = range(count) if place == 0 else generator.permutation(count)
        columns[key] = [values[index] for index in order]
    return [{key: column[number] for key, column in columns.items()} for number in range(count)]


def run_trial(name: str, params: Mapping[str, Any], bench: TuningData) -> Trial:
    """Train once and score on the tuning images; a failure becomes a trial without a score."""
    begun = time.monotonic()
    try:
        with contained():
            score = _train_and_score(name, params, bench)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a failed trial is a result
        seconds = round(time.monotonic() - begun, 3)
        return Trial(params=dict(params), score=None, seconds=seconds, error=one_line(error))
    return Trial(params=dict(params), score=score, seconds=round(time.monotonic() - begun, 3))


class _TrialContext(FitContext):
    """Reseeds before every update, as a real fit does."""

    def begin_step(self, step: int) -> None:
        seed_everything(self.seed("step", step))


def _train_and_score(name: str, params: Mapping[str, Any], bench: TuningData) -> float:
    setting, split, info = bench.setting, bench.split, bench.data.info
    method = registry.method_class(name)(registry.method_params(name, dict(params)))
    weights = bench.weights_file or setting.weights
    task = info.task(setting.bits, setting.backbone, weights, setting.preprocessing, setting.head)
    images = len(split.labelled) + len(split.tuning)
    precision = resolve_precision("auto", bench.device, setting.backbone)
    ctx = _TrialContext(
        task=task,
        device=torch.device(bench.device),
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        updates=setting.epochs * max(1, images // setting.batch_size),
        precision="bf16" if precision == "bf16" else "fp32",
        root_seed=root_seed(info, setting.seed),
    )
    evaluator = Evaluator(bench.data, split, metrics.Rules(k=bench.rule.k), setting.bits, ctx.device)
    training = evaluator.training_data(task)
    with isolated_generators(bench.device), numerics(precision, bench.device):
        seed_everything(ctx.seed("fit"))
        method.fit(training, ctx)
        score = evaluator.held_out_map(method)
    if not math.isfinite(score):
        raise FloatingPointError(f"the score is {score}")
    return score


# ---- files -------------------------------------------------------------------------------------


def study_path(setting: Setting, results: Path) -> Path:
    """Where a setting's study lies in a results folder."""
    identity = setting.model_dump(mode="json")
    for name in ("frozen", "preprocessing", "head", "database"):  # older studies know none of these
        if getattr(setting, name) == Setting.model_fields[name].default:
            del identity[name]
    key = digest(identity, 8)
    return results / "tuning" / f"{setting.dataset}-{setting.bits}b-{key}.json"


def read_study(path: Path) -> Study:
    """Read a study. Raises InputError for a missing, unreadable or foreign file."""
    try:
        return Study.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise InputError(f"tuning file {str(path)!r} cannot be read: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"tuning file {str(path)!r} is no result of `tune`: {first}") from None


def write_study(study: Study, path: Path) -> None:
    """Write a study, in one piece."""
    try:
        write_file(path, (study.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error


def is_current(tuned: Tuned | None) -> bool:
    """Whether a stored search still describes the method: same version and same source."""
    if tuned is None:
        return False
    entry = registry.find("methods", tuned.method)
    return tuned.version == entry.info["version"] and entry.is_current(tuned.source_digest)


def tuned_params(path: Path, sweep: Sweep, weights: str) -> dict[str, dict[str, Any]]:
    """The best parameters of a sweep's methods in a study; methods that it does not hold keep their defaults.

    weights: the identity of the sweep's weights. Raises InputError when the study was made for another data set,
    backbone, weights, or way of reading an image.
    """
    study = read_study(path)
    setting = study.setting
    asked = setting.model_copy(
        update={"frozen": sweep.frozen, "preprocessing": sweep.preprocessing, "head": sweep.head}
    )
    for what, given, made in (
        ("data set", sweep.datasets, setting.dataset),
        ("backbone", (sweep.backbone,), setting.backbone),
        ("weights", (weights,), setting.weights),
        ("features", (asked.flags(),), setting.flags()),
    ):
        if set(given) - {made}:
            raise InputError(
                f"tuning file {str(path)!r} was made for {what} {made}, not for {', '.join(given)}"
            )
    return {name: dict(study.methods[name].best) for name in sweep.methods if name in study.methods}
