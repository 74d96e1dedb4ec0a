"""Where a number comes from: the command that makes a fit again, and whether it gives the same codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import registry
from benchmark.errors import InputError
from benchmark.fit import environment
from benchmark.fit.devices import device_title
from benchmark.fit.result import FitResult
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import precision_of
from benchmark.spec import FitSpec, TrainJob
from benchmark.spec.command import sweep_of
from benchmark.spec.weights import task_file
from benchmark.store.record import Environment, Record
from benchmark.store.store import Store
from benchmark.store.thin import same_digests
from benchmark.store.weights_used import weights_used
from benchmark.sweep.executors import Link
from benchmark.sweep.plan import plan
from benchmark.sweep.worker import Work


@dataclass(frozen=True)
class Repetition:
    """What a repetition found: `same` codes or not, one line of why, and what may explain a difference."""

    same: bool
    text: str
    notes: tuple[str, ...] = ()


def verify(
    store: Store, record: Record, data_root: Path | None, scratch: Path, device: str, weights_file: str = ""
) -> Repetition:
    """Run a fit again in `scratch`, as the installed code and data give it, and compare the codes.

    Raises InputError when the record holds no codes, or the fit cannot be planned here.
    """
    if record.state != "done":
        kind = record.failure.kind if record.failure else "failed"
        raise InputError(f"{record.spec.label} ({record.fit_id}) has no codes to compare: it failed ({kind})")
    before = store.codes(record.spec)
    weights_file = weights_used(store, record, weights_file)
    spec = _planned_here(record.spec, data_root, scratch, weights_file)
    if spec.fit_id != record.fit_id:
        old, new = record.spec.model_dump(mode="json"), spec.model_dump(mode="json")
        changed = [f"{key} {old[key]!r} is {new[key]!r} here" for key in old if old[key] != new[key]]
        return Repetition(False, f"this is another fit now: {'; '.join(changed)}")
    notes = _differences(record, device)
    if record.environment and record.environment.threads:
        torch.set_num_threads(record.environment.threads)  # the order of float sums depends on it
    steps = tuple(point.step for point in record.curve)  # `selection` chooses among them
    file = task_file(weights_file or "none")
    runtime = Runtime(device=device, weights_file=file, curve_steps=steps, curve_metrics=("map",))
    if (env := record.environment) is not None:
        runtime = replace(runtime, deterministic=env.deterministic, compile=_compiled(env))
    outcome = Work(scratch, runtime, data_root)(TrainJob(spec), Link())
    if not isinstance(outcome, FitResult):
        return Repetition(False, "the repetition was stopped", notes)
    if outcome.record.failure is not None:
        failure = outcome.record.failure
        return Repetition(False, f"the repetition failed ({failure.kind}: {failure.message})", notes)
    return _compare(before, outcome.artifacts.codes, notes)


def _planned_here(spec: FitSpec, data_root: Path | None, scratch: Path, weights_file: str) -> FitSpec:
    sweep = sweep_of(spec, weights_file)
    (planned,) = plan(sweep, Store(scratch), data_root).fits
    if planned.fit is None:
        raise InputError(f"{spec.label} cannot run here: {planned.reason}")
    return planned.fit


def _differences(record: Record, device: str) -> tuple[str, ...]:
    """What is not as it was: each may change bits of the codes without anything being wrong."""
    notes = []
    if not registry.is_current(record.spec.method, record.source_digest):
        notes.append("the method's source has changed since")
    env = record.environment
    if env is not None:
        precision = precision_of(record.spec, Runtime(device=device))
        here = environment.describe(device_title(device), precision, env.threads)
        notes += _device_differences(env, here)
        for name in ("torch", "numpy", "scikit-learn", *(("cuda", "cudnn") if _cuda(env) else ())):
            if env.versions.get(name) != here.versions.get(name):
                notes.append(f"{name} was {env.versions.get(name)}, here {here.versions.get(name)}")
        if env.cpu != here.cpu:
            notes.append(f"the processor was {env.cpu}, here {here.cpu}")
    return tuple(notes)


def _device_differences(env: Environment, here: Environment) -> list[str]:
    """The device, by its model, and what it computes in."""
    notes = []
    if _model(env.device) != _model(here.device):
        notes.append(f"it was made on {env.device}, this is {here.device}")
    if _compiled(env):
        notes.append(
            "its networks were trained compiled, and are here: a compiler may choose another order of sums"
        )
    if env.precision != here.precision:
        notes.append(f"it was made in {env.precision}, this is {here.precision}")
    if not _cuda(env):
        return notes
    if "cudnn" not in env.versions and env.precision == "fp32":
        notes.append("its record is older than the choice of TF32, which its convolutions may have used")
    if not env.deterministic:
        notes.append(
            "cuDNN and cuBLAS may have chosen kernels that sum in another order, and some add in no fixed one; "
            "fits made with --deterministic repeat on the same model of GPU"
        )
    return notes


def _compiled(env: Environment) -> bool:
    return bool(env.compiled) and env.compiled.partition(":")[0] != "no"


def _cuda(env: Environment) -> bool:
    return env.device.startswith("cuda")


def _model(device: str) -> str:
    """`cuda:1 NVIDIA H100` -> `cuda NVIDIA H100`: which of several equal ones is no matter."""
    kind, _, name = device.partition(" ")
    return f"{kind.split(':')[0]} {name}".strip()


def _compare(before: dict[str, np.ndarray], after: Any, notes: tuple[str, ...]) -> Repetition:
    left_out = same_digests(before, after)
    for key in ("query_ids", "database_ids", "query_labels", "database_labels"):
        if not left_out.get(key, key in before and np.array_equal(before[key], after[key])):
            return Repetition(False, f"{key} differ: another split", notes)
    bits = wrong = 0
    for key in ("query_codes", "database_codes"):
        if key in left_out:
            continue
        if key not in before or before[key].shape != after[key].shape:
            return Repetition(False, f"{key} have another shape", notes)
        wrong += int(np.bitwise_count(before[key] ^ after[key]).sum())
        bits += len(after[key]) * int(after["bits"])
    by_digest = [key.removesuffix("_codes") for key in ("query_codes", "database_codes") if key in left_out]
    differ = [side for side in by_digest if not left_out[f"{side}_codes"]]
    whose = "query code bits" if by_digest else "code bits"
    counted = [f"{wrong:,} of {bits:,} {whose} differ" if wrong else f"all {bits:,} {whose} are the same"]
    digested = [
        f"by digest, {side} codes {'differ' if side in differ else 'are the same'}" for side in by_digest
    ]
    return Repetition(not wrong and not differ, "; ".join(counted[: bool(bits)] + digested), notes)
