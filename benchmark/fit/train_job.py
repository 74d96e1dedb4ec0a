"""One job in, one record out: the one place where seeds, device, precision and clocks are set."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from benchmark import metrics, registry
from benchmark.contracts import HashData, HashMethod
from benchmark.data import audit, protocol
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol import Split
from benchmark.errors import InputError, one_line, printable, words
from benchmark.fit import environment
from benchmark.fit.context import RunningContext
from benchmark.fit.devices import device_title, is_broken, numerics
from benchmark.fit.evaluator import health_flags, score
from benchmark.fit.failures import captured_log, describe_failure, is_ours
from benchmark.fit.harness import Harness, attach, detach
from benchmark.fit.randomness import isolated_generators, seed_everything
from benchmark.fit.result import FitResult, Interrupted
from benchmark.fit.runtime import Progress, Runtime
from benchmark.fit.setup import OpenFit, open_fit, precision_of
from benchmark.fit.tensors import storable
from benchmark.registry.contained import contained
from benchmark.spec import FitSpec, Job, explain
from benchmark.store.record import Artifacts, CurvePoint, ProtocolFacts, Record, Timings

log = logging.getLogger(__name__)

#: What each selection rule means, for captions.
SELECTION_TEXT: dict[str, str] = {
    "last": "the model after the last update is scored",
    "val": "the model with the best mAP on a tuning split of the training images is scored",
    "peek": "PEEKING: the model with the best mAP on the test queries is scored",
}


def selection_text(selection: str, stops_after: int | None) -> str:
    """What a selection rule means, with early stopping too."""
    if not stops_after:
        return SELECTION_TEXT[selection]
    return (
        "the model with the best mAP of held-out training images among themselves (a tuning split) is scored; "
        f"training ends after {stops_after} evaluations in a row without a better one"
    )


def run_job(
    job: Job,
    data: LoadedDataset,
    runtime: Runtime,
    *,
    workdir: Path | None = None,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> FitResult:
    """Train, encode and score one job.

    Whatever goes wrong, whatever a plug-in raises and changes of the process, becomes a failed record with its kind
    and traceback; only `Interrupted` (after `stop` turned true) and the user's KeyboardInterrupt leave.
    """
    spec = job.fit
    started, text = environment.now(), io.StringIO()
    environment.reset_peak_memory()
    precision = precision_of(spec, runtime)
    with captured_log(text), numerics(precision, runtime.device, runtime.deterministic):
        with isolated_generators(runtime.device), contained() as changed:
            measured, artifacts = _guarded(spec, data, runtime, workdir, progress, stop)
        if changed:
            log.warning(
                "%s changed what belongs to the whole process: %s; it was put back", spec.method, changed
            )
            measured["facts"] = {**measured.get("facts", {}), "changed_settings": ", ".join(changed)}
    how = precision, torch.get_num_threads(), runtime.deterministic, measured.pop("compiled", "")
    told: dict[str, Any] = {
        "fit_id": spec.fit_id,
        "spec": spec,
        "source_digest": registry.find("methods", spec.method).digest,
        "command": printable(runtime.command),
        "sweep": runtime.sweep,
        "started": started,
        "finished": environment.now(),
        "environment": environment.describe(device_title(runtime.device), *how),
        "peak_memory_mib": environment.peak_memory_mib(),
    }
    try:
        record = Record(**told, **measured)
    except ValidationError as error:  # the method says of itself what a record has no kind for
        failure = InputError(f"what {spec.method} reports cannot be recorded: {explain(error)}")
        record, artifacts = Record(**told, **_failed(spec, failure)), Artifacts()
    return FitResult(record, replace(artifacts, log=printable(text.getvalue())))


def _guarded(
    spec: FitSpec,
    data: LoadedDataset,
    runtime: Runtime,
    workdir: Path | None,
    progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> tuple[dict[str, Any], Artifacts]:
    """What was measured and its artifacts. What fails while its networks are compiled trains again uncompiled."""
    try:
        return _measure(spec, data, runtime, workdir, progress, stop)
    except _Broken as broken:
        if not broken.compiled.begun or is_broken(runtime.device, describe_failure(broken.error)):
            failed = _failed(spec, broken.error, broken.curve)
            return failed | {"compiled": broken.compiled.text}, broken.artifacts
        reason = one_line(broken.error).partition(" Set TORCHDYNAMO_VERBOSE")[0]
    except BaseException as error:
        if is_ours(error, stop):
            raise
        return _failed(spec, error), Artifacts()
    log.warning("%s trains uncompiled: with its networks compiled it failed (%s)", spec.label, reason)
    measured, artifacts = _guarded(spec, data, replace(runtime, compile=False), workdir, progress, stop)
    return measured | {"compiled": f"{measured.get('compiled') or 'no'}: {reason}"}, artifacts


class _Broken(Exception):
    """Training ended in `error`; its curve so far and, when every value is finite, its state are kept."""

    def __init__(self, error: BaseException, harness: Harness, ctx: RunningContext) -> None:
        super().__init__(words(error))
        self.error, self.curve, self.compiled = error, tuple(ctx.curve), harness.compiled
        rows: list[dict[str, float]] = []
        with contextlib.suppress(Exception):  # the method may have left anything there
            rows = _curve(ctx)
        samples = {name: content for name, content in ctx.samples.items() if isinstance(content, bytes)}
        self.artifacts = Artifacts(weights=_last_good(harness.method), curve=rows, samples=samples)


def _curve(ctx: RunningContext) -> list[dict[str, float]]:
    """The rows of `curve.csv`. Raises TypeError where the method has put something else among them."""
    rows = []
    try:
        for step, given in ctx.scalars:
            row = {str(name): float(value) for name, value in given.items() if name != "step"}
            rows.append({"step": int(step), **row})
        return rows
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(
            f"its result cannot be stored: the context's scalars are no numbers: {error}"
        ) from error


def _last_good(method: HashMethod) -> dict[str, torch.Tensor]:
    """The method's state, or nothing when it has none yet or holds a value that is not finite."""
    try:
        state = storable(method.state())
        return state if all(bool(torch.isfinite(tensor).all()) for tensor in state.values()) else {}
    except Exception:  # noqa: BLE001 - a method that broke may not have built what `state` reads
        return {}


def _failed(spec: FitSpec, error: BaseException, curve: tuple[CurvePoint, ...] = ()) -> dict[str, Any]:
    log.error("%s failed: %s", spec.label, words(error))
    return {"state": "failed", "failure": describe_failure(error), "curve": curve}


def _measure(
    spec: FitSpec,
    data: LoadedDataset,
    runtime: Runtime,
    workdir: Path | None,
    progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> tuple[dict[str, Any], Artifacts]:
    """The phases of a fit: draw the split, train, encode, score."""
    clock = _Clock()
    opened = open_fit(spec, data, runtime, workdir, progress, stop)
    method, ctx, evaluator = opened.method, opened.ctx, opened.evaluator
    harness = attach(ctx, method, evaluator, runtime, progress, stop)
    training = evaluator.training_data(ctx.task, host=type(method).takes_host_images)
    clock.lap("load")
    try:
        _train(method, training, ctx)
    except BaseException as error:
        if is_ours(error, stop):
            raise
        raise _Broken(error, harness, ctx) from error
    clock.lap("train")
    if runtime.compile and not harness.compiled.used:
        log.warning("%s trains uncompiled: its updates call no network of its own", spec.label)
    progress(Progress("encode"))
    codes, encode_seconds = evaluator.codes(method)
    clock.lap("encode")
    progress(Progress("score"))
    scores = score(codes, spec.bits, evaluator.rules, device=runtime.device)
    health = metrics.code_health(codes["database_codes"], spec.bits)
    clock.lap("score")
    measured = {
        "state": "done",
        "scores": scores,
        "curve": tuple(ctx.curve),
        "health": health,
        "flags": health_flags(health, spec.bits, len(data.info.classes), codes["database_codes"]),
        "facts": {**opened.facts(), **(harness.probes.facts(method) if ctx.curve else {})},
        "protocol": _protocol_facts(opened),
        "updates": ctx.made if spec.epochs else 0,
        "selected_step": ctx.best[1] if ctx.best else None,
        "timings": _timings(clock, ctx, opened.split, encode_seconds),
        "peak_gpu_memory_mib": _gpu_peak(ctx.device),
        "compiled": harness.compiled.text,
    }
    curve = _curve(ctx)
    return measured, Artifacts(
        codes=codes, weights=storable(method.state()), curve=curve, samples=ctx.samples
    )


def _train(method: HashMethod, training: HashData, ctx: RunningContext) -> None:
    """Fit within the budget and leave the selected model in `method`."""
    seed_everything(ctx.seed("fit"))
    if ctx.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(ctx.device)
    ctx.start()
    try:
        method.fit(training, ctx)
        if ctx.interrupted():
            raise Interrupted(ctx.fit_spec.label)
    finally:
        detach(ctx)
    ctx.trained_seconds = ctx.train_seconds()
    if ctx.best is not None:
        method.load_state(ctx.best[2], ctx)


def _protocol_facts(opened: OpenFit) -> ProtocolFacts:
    spec, rule, split = opened.spec, opened.rule, opened.split
    rules, info = opened.evaluator.rules, opened.images.info
    overlaps, warnings_found = audit.check_run(opened.images, split, rule)
    return ProtocolFacts(
        text=rule.describe(),
        rules=rules.as_dict(),
        rules_text=rules.describe(),
        queries=len(split.query),
        database=len(split.database),
        labelled=len(split.labelled),
        hidden=len(split.hidden),
        tuning=len(split.tuning),
        label_rule=protocol.describe_labels(spec.label_rule, multi_label=info.multi_label),
        selection_text=selection_text(spec.selection, opened.ctx.stops_after),
        dropped=len(split.dropped),
        wrong_labels=split.moved,
        noise_rule=protocol.describe_noise(spec.label_rule, info, split.moved),
        overlaps=overlaps,
        definition=rule.definition(),
        notes=(*protocol.notes(rule, info, split), *warnings_found),
    )


class _Clock:
    """Seconds per phase."""

    def __init__(self) -> None:
        self.begun = self.last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self.last = now - self.last, now


def _timings(clock: _Clock, ctx: RunningContext, split: Split, encode: float) -> Timings:
    """Training time leaves out the evaluations along the way; encoding time is spent inside `encode`."""
    train, gradient = ctx.trained_seconds, ctx.fit_spec.epochs is not None
    images = ctx.batches * min(ctx.batch_size, len(split.labelled))
    coded = len(split.query) + len(split.database)
    return Timings(
        load=round(clock.laps["load"], 4),
        train=round(train, 4),
        encode=round(encode, 4),
        score=round(clock.laps["score"], 4),
        total=round(clock.last - clock.begun, 4),
        train_images_per_second=round(images / train, 1) if gradient and train else 0.0,
        encode_images_per_second=round(coded / encode, 1) if encode else 0.0,
    )


def _gpu_peak(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
