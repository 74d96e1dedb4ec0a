"""One job in, one record out: the only place that sets seeds, device, precision and clocks."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import random
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark import environment, metrics, protocol, registry
from benchmark.contracts import FitContext, HashData, HashMethod, Task
from benchmark.datastore import LoadedDataset
from benchmark.errors import InputError
from benchmark.protocol import Protocol, Split
from benchmark.records import (
    Artifacts,
    CurvePoint,
    Failure,
    FailureKind,
    ProtocolFacts,
    Record,
    Score,
    Timings,
)
from benchmark.spec import FitSpec, Job, seed_stream

log = logging.getLogger(__name__)

#: Images per call of `encode`.
ENCODE_BATCH = 500
#: Database images that a learning curve's points are scored against (evenly spaced rows of the database).
CURVE_DATABASE = 2_000


class Interrupted(Exception):
    """The fit was asked to stop; its training state is saved and no record was made."""


@dataclass(frozen=True)
class Progress:
    """What a running fit tells the display: `step` of `steps` updates, a loss, images per second."""

    phase: str
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    images_per_second: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class Runtime:
    """What a job runs with but is not identified by: device, folders, how often to look."""

    device: str = "cpu"
    weights_file: str = ""
    curve_points: int = 5
    checkpoint_seconds: float = 60.0
    command: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finished or failed job."""

    record: Record
    artifacts: Artifacts


def resolve_device(name: str) -> str:
    """`auto` as cuda, mps or cpu; otherwise the name itself. Raises InputError for a device that is not there."""
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return "cpu"
    if kind == "mps" and not number:
        if torch.backends.mps.is_available():
            return "mps"
        raise InputError("device 'mps' is not available here; allowed: auto, cpu")
    if kind == "cuda" and (number.isdigit() or not number):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) < count:
            return f"cuda:{int(number or 0)}"
        raise InputError(f"device {name!r} is not available: {count} CUDA devices here")
    raise InputError(f"unknown device {name!r}; allowed: auto, cpu, cuda, cuda:N, mps")


def resolve_precision(name: str, device: str) -> str:
    """`auto` is bf16 on a CUDA device that supports it, fp32 elsewhere."""
    if name != "auto":
        return name
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"


def run_job(
    job: Job,
    data: LoadedDataset,
    runtime: Runtime,
    *,
    workdir: Path | None = None,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train, encode and score one job.

    Whatever goes wrong becomes a failed record with its kind and traceback; only `Interrupted` (after `stop`
    turned true) and KeyboardInterrupt leave.
    """
    spec = job.fit
    started = datetime.now(UTC).isoformat(timespec="seconds")
    text = io.StringIO()
    common: dict[str, Any] = {
        "fit_id": spec.fit_id,
        "spec": spec,
        "source_digest": registry.find("methods", spec.method).digest,
        "command": runtime.command,
        "started": started,
    }
    environment.reset_peak_memory()
    with _captured_log(text), _isolated_generators():
        try:
            measured, artifacts = _Trial(spec, data, runtime, workdir, progress, stop).run()
            common |= {"state": "done"} | measured
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - a failure is a result
            log.error("%s failed: %s", spec.label, error)
            artifacts = Artifacts()
            common |= {"state": "failed", "failure": _failure(error)}
    precision = resolve_precision(spec.precision, runtime.device)
    record = Record(
        **common,
        environment=environment.describe(_device_name(runtime.device), precision, torch.get_num_threads()),
        peak_memory_mib=environment.peak_memory_mib(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Outcome(record, Artifacts(artifacts.codes, artifacts.weights, artifacts.curve, text.getvalue()))


def _failure(error: Exception) -> Failure:
    kind: FailureKind = "error"
    if isinstance(error, FloatingPointError):
        kind = "not-finite"
    elif isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        kind = "out-of-memory"
    message = " ".join(f"{type(error).__name__}: {error}".split())[:1000]
    return Failure(kind=kind, message=message, traceback="".join(traceback.format_exception(error))[-8000:])


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return f"{device} {torch.cuda.get_device_name(device)}"
    return device


@contextlib.contextmanager
def _captured_log(into: io.StringIO) -> Iterator[None]:
    handler = logging.StreamHandler(into)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        root.removeHandler(handler)
        logging.captureWarnings(False)


@contextlib.contextmanager
def _isolated_generators() -> Iterator[None]:
    """Leave the process's global generators as they were: a fit neither sees nor moves them."""
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@dataclass
class _TrialContext(FitContext):
    """The context of a real fit: progress, learning curve, selection, checkpoints."""

    trial: _Trial | None = field(default=None, repr=False)

    def begin_step(self, step: int) -> None:
        _seed_everything(self.seed("step", step))

    def log(self, step: int, scalars: Any) -> None:
        super().log(step, scalars)
        self._trial.on_log(step, scalars)

    def evaluate(self, step: int) -> None:
        self._trial.on_evaluate(step)

    def should_stop(self) -> bool:
        return self._trial.stop()

    def save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        self._trial.on_save(step, state)

    def restore(self) -> dict[str, Any] | None:
        return self._trial.saved_state()

    @property
    def _trial(self) -> _Trial:
        assert self.trial is not None
        return self.trial


class _Trial:
    """The phases of one fit: split, train, encode, score."""

    def __init__(
        self,
        spec: FitSpec,
        data: LoadedDataset,
        runtime: Runtime,
        workdir: Path | None,
        progress: Callable[[Progress], None],
        stop: Callable[[], bool],
    ) -> None:
        self.spec, self.data, self.runtime = spec, data, runtime
        self.workdir, self.progress, self.stop = workdir, progress, stop
        self.device = torch.device(runtime.device)
        self.protocol = protocol.resolve(spec.protocol, data.info)
        self.rules = metrics.Rules(k=self.protocol.k)
        self.curve: list[CurvePoint] = []
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.evaluation_seconds = 0.0
        self.seconds_before = 0.0  # training time of the runs that this one continues
        self.last_save = self.train_started = time.monotonic()
        self.last_progress = 0.0
        self.first_step: int | None = None

    # ---- phases ------------------------------------------------------------------------------

    def run(self) -> tuple[dict[str, Any], Artifacts]:
        begun = time.monotonic()
        self.split = protocol.draw(
            self.protocol,
            self.data.info,
            self.data.labels,
            self.spec.seed,
            self.spec.label_fraction,
            tuning=self.spec.selection == "val",
        )
        self.ctx = self._context()
        self.method = _make_method(self.spec)
        _seed_everything(self.ctx.seed("fit"))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        training = self._training_data()
        loaded = time.monotonic()
        self._train(training)
        trained = time.monotonic()
        codes, outputs_seconds = self._codes()
        encoded = time.monotonic()
        scores, health, flags = self._score(codes)
        timings = self._timings(begun, loaded, trained, outputs_seconds, encoded)
        measured = {
            "scores": scores,
            "curve": tuple(self.curve),
            "health": health,
            "flags": flags,
            "facts": self.method.facts(),
            "protocol": self._protocol_facts(),
            "updates": self.ctx.updates if self.spec.epochs else 0,
            "selected_step": self.best[1] if self.best else None,
            "timings": timings,
            "peak_gpu_memory_mib": self._gpu_peak(),
        }
        curve = [{"step": step, **scalars} for step, scalars in self.ctx.scalars]
        return measured, Artifacts(codes=codes, weights=self.method.state(), curve=curve)

    def _context(self) -> _TrialContext:
        spec, info = self.spec, self.data.info
        training_images = len(self.split.labelled) + len(self.split.hidden) + len(self.split.tuning)
        epochs, batch_size = spec.epochs or 1, spec.batch_size or 64
        task = Task(
            bits=spec.bits,
            classes=len(info.classes),
            channels=info.channels,
            height=info.height,
            width=info.width,
            multi_label=info.multi_label,
            backbone=spec.backbone,
            weights=self.runtime.weights_file or spec.weights,
        )
        return _TrialContext(
            task=task,
            device=self.device,
            epochs=epochs,
            batch_size=batch_size,
            updates=epochs * max(1, training_images // batch_size),
            precision=resolve_precision(spec.precision, self.runtime.device),  # type: ignore[arg-type]
            # The data draws are named by data set and seed; the fit's own draws also by the data set only,
            # so that initialisation and batches agree between methods that share a network.
            root_seed=seed_stream("trial", info.split_key or info.name, spec.seed),
            workdir=self.workdir,
            trial=self,
        )

    def _training_data(self) -> HashData:
        info, split = self.data.info, self.split
        return HashData(
            task=self.ctx.task,
            images=self._images(split.labelled),
            labels=torch.from_numpy(self.data.labels[split.labelled]).to(self.device),
            unlabelled=self._images(split.hidden),
            crop_padding=info.crop_padding,
            flip=info.flip,
        )

    def _images(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.data.images[rows])).to(self.device)

    def _train(self, training: HashData) -> None:
        self.progress(Progress("train", 0, self.ctx.updates))
        self.train_started = self.last_save = time.monotonic()
        self.method.fit(training, self.ctx)
        if self.stop():
            raise Interrupted(self.spec.label)
        if self.best is not None:
            self.method.load_state(self.best[2], self.ctx)

    def _encode(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """float32 outputs (n, bits) of the rows' images, and the seconds spent inside `encode`."""
        out = np.empty((len(rows), self.spec.bits), dtype=np.float32)
        spent = 0.0
        for start in range(0, len(rows), ENCODE_BATCH):
            images = self._images(rows[start : start + ENCODE_BATCH])
            begun = time.monotonic()
            outputs = self.method.encode(images).detach().to("cpu", torch.float32).numpy()
            spent += time.monotonic() - begun
            if outputs.shape != (len(images), self.spec.bits):
                raise ValueError(f"encode returned {outputs.shape}, not {(len(images), self.spec.bits)}")
            out[start : start + len(outputs)] = outputs
        if not np.isfinite(out).all():
            raise FloatingPointError("encode returned values that are not finite")
        return out, spent

    def _codes(self) -> tuple[dict[str, np.ndarray], float]:
        self.progress(Progress("encode"))
        split = self.split
        query, query_seconds = self._encode(split.query)
        database, database_seconds = self._encode(split.database)
        codes = {
            "query_codes": metrics.pack_codes(query, sign_zero=self.rules.sign_zero),
            "database_codes": metrics.pack_codes(database, sign_zero=self.rules.sign_zero),
            "bits": np.array(self.spec.bits),
            "query_labels": self._labels(split.query),
            "database_labels": self._labels(split.database),
            "query_ids": split.query,
            "database_ids": split.database,
        }
        return codes, query_seconds + database_seconds

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        labels = self.data.labels[rows]
        if self.data.info.multi_label:
            return labels
        return np.asarray(labels.argmax(axis=1), dtype=np.int16)

    def _score(
        self, codes: dict[str, np.ndarray]
    ) -> tuple[tuple[Score, ...], dict[str, float], tuple[str, ...]]:
        self.progress(Progress("score"))
        result = metrics.evaluate(
            codes["query_codes"],
            codes["database_codes"],
            self.spec.bits,
            codes["query_labels"],
            codes["database_labels"],
            rules=self.rules,
        )
        scores = tuple(
            Score(view="clean", metric=name, k=k, value=value)
            for name, k, value in _rows(result.values, self.rules.k)
        )
        health = {
            name: float(value)
            for name, value in metrics.code_health(codes["database_codes"], self.spec.bits).items()
        }
        return scores, health, _health_flags(health, self.spec.bits, len(self.data.info.classes))

    # ---- hooks of the context ----------------------------------------------------------------

    def on_log(self, step: int, scalars: dict[str, float]) -> None:
        if self.first_step is None:
            self.first_step = step
        now = time.monotonic()
        done, total = step + 1, self.ctx.updates
        if now - self.last_progress < 0.1 and done < total:
            return
        self.last_progress = now
        spent = max(1e-9, self._train_seconds(now) - self.seconds_before)
        rate = (done - self.first_step) / spent
        self.progress(
            Progress(
                "train",
                done,
                total,
                epoch=done / total * self.ctx.epochs,
                loss=next(iter(scalars.values()), None),
                images_per_second=rate * self.ctx.batch_size,
                seconds_left=(total - done) / rate,
            )
        )

    def on_evaluate(self, step: int) -> None:
        if step not in self._evaluation_steps():
            return
        begun = time.monotonic()
        seconds = self._train_seconds(begun)
        value = self._curve_map()
        tuning = self.spec.selection == "val"
        self.curve.append(
            CurvePoint(step=step, seconds=round(seconds, 3), map=value, part="tuning" if tuning else "query")
        )
        if self.spec.selection != "last" and (self.best is None or value > self.best[0]):
            self.best = (value, step, {key: tensor.clone() for key, tensor in self.method.state().items()})
        self.evaluation_seconds += time.monotonic() - begun

    def _evaluation_steps(self) -> set[int]:
        points = (
            self.runtime.curve_points if self.spec.selection == "last" else max(10, self.runtime.curve_points)
        )
        total = self.ctx.updates
        return {max(1, round(total * (number + 1) / points)) for number in range(min(points, total))}

    def _curve_map(self) -> float:
        split = self.split
        if self.spec.selection == "val":
            query, database = split.tuning, split.labelled
        elif self.spec.selection == "peek":
            query, database = split.query, split.database
        else:
            stride = max(1, math.ceil(len(split.database) / CURVE_DATABASE))
            query, database = split.query, split.database[::stride]
        return metrics.mean_average_precision(
            self._encode(query)[0],
            self._encode(database)[0],
            self._labels(query),
            self._labels(database),
            k=self.rules.k,
            ties=self.rules.ties,
            normaliser=self.rules.normaliser,
            no_hit=self.rules.no_hit,
        )

    def on_save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        due = time.monotonic() - self.last_save >= self.runtime.checkpoint_seconds or self.stop()
        if self.workdir is None or not due or step >= self.ctx.updates:
            return
        self.workdir.mkdir(parents=True, exist_ok=True)
        content = {
            "fit_id": self.spec.fit_id,
            "training": state(),
            "seconds": self._train_seconds(time.monotonic()),
            "scalars": self.ctx.scalars,
            "curve": [point.model_dump() for point in self.curve],
            "best": self.best,
        }
        scratch = self.workdir / ".checkpoint.tmp"
        torch.save(content, scratch)
        scratch.replace(self.workdir / "checkpoint.pt")
        self.last_save = time.monotonic()

    def saved_state(self) -> dict[str, Any] | None:
        path = self.workdir / "checkpoint.pt" if self.workdir else None
        if path is None or not path.is_file():
            return None
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
            if content["fit_id"] != self.spec.fit_id:
                return None
            self.ctx.scalars = [(int(step), dict(scalars)) for step, scalars in content["scalars"]]
            self.curve = [CurvePoint(**point) for point in content["curve"]]
            self.best = tuple(content["best"]) if content["best"] else None
            self.seconds_before = float(content["seconds"])
            log.info("continuing after update %d", content["training"]["step"])
            return dict(content["training"])
        except Exception as error:  # noqa: BLE001 - a damaged checkpoint costs time, not the fit
            log.warning("checkpoint cannot be used (%s); starting again", error)
            self.ctx.scalars, self.curve, self.best = [], [], None
            return None

    # ---- facts -------------------------------------------------------------------------------

    def _protocol_facts(self) -> ProtocolFacts:
        split, spec = self.split, self.spec
        share = "every training label is shown"
        if spec.label_fraction < 1:
            share = (
                f"{spec.label_fraction:g} of the labels of each class are shown (at least one, nested), "
                "the rest of the training images is handed over without labels"
            )
        return ProtocolFacts(
            text=self.protocol.describe(),
            rules=self.rules.as_dict(),
            rules_text=self.rules.describe(),
            queries=len(split.query),
            database=len(split.database),
            labelled=len(split.labelled),
            hidden=len(split.hidden),
            tuning=len(split.tuning),
            label_rule=share,
            selection_text=SELECTION_TEXT[spec.selection],
        )

    def _timings(self, begun: float, loaded: float, trained: float, encode: float, encoded: float) -> Timings:
        train = self._train_seconds(trained)
        images = self.ctx.updates * min(self.ctx.batch_size, max(1, len(self.split.labelled)))
        coded = len(self.split.query) + len(self.split.database)
        now = time.monotonic()
        return Timings(
            load=round(loaded - begun, 4),
            train=round(train, 4),
            encode=round(encode, 4),
            score=round(now - encoded, 4),
            total=round(now - begun, 4),
            train_images_per_second=round(images / train, 1) if self.spec.epochs and train else 0.0,
            encode_images_per_second=round(coded / encode, 1) if encode else 0.0,
        )

    def _train_seconds(self, now: float) -> float:
        """Seconds of training so far, evaluations left out, earlier runs of the same fit included."""
        return max(0.0, self.seconds_before + now - self.train_started - self.evaluation_seconds)

    def _gpu_peak(self) -> float | None:
        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)


#: What each selection rule means, for captions.
SELECTION_TEXT: dict[str, str] = {
    "last": "the model after the last update is scored",
    "val": "the model with the best mAP on a tuning split of the training images is scored",
    "peek": "PEEKING: the model with the best mAP on the test queries is scored",
}


def _make_method(spec: FitSpec) -> HashMethod:
    cls = registry.method_class(spec.method)
    return cls(cls.Params.model_validate(spec.params))


def _rows(values: dict[str, float], k: int | None) -> Iterator[tuple[str, int | None, float]]:
    """(metric, k, value) of every score that is a number; `precision@100` carries its own cut-off."""
    for key, value in values.items():
        name, _, cutoff = key.partition("@")
        if math.isfinite(value):
            yield name, int(cutoff) if cutoff else (k if name == "map" else None), value


def _health_flags(health: dict[str, float], bits: int, classes: int) -> tuple[str, ...]:
    """Plain words for codes that have collapsed; empty when they are fine."""
    flags = []
    distinct, constant = int(health["distinct_codes"]), int(health["constant_bits"])
    if distinct <= 1:
        flags.append("collapsed: every image has the same code")
    elif distinct < classes:
        flags.append(f"nearly collapsed: {distinct} distinct codes for {classes} classes")
    if constant > 0 and distinct > 1:
        flags.append(f"{constant} of {bits} bits are constant")
    return tuple(flags)


__all__ = ["Interrupted", "Outcome", "Progress", "Protocol", "Runtime", "Split", "run_job"]
