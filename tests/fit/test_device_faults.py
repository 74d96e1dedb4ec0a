"""What a device says when it is full or broken, and what becomes of the worker that heard it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.fit import devices
from benchmark.fit.failures import describe_failure
from benchmark.fit.runtime import Runtime
from benchmark.spec import Job
from benchmark.sweep import worker
from benchmark.sweep.executors import Link
from benchmark.sweep.worker import Work
from tests.helpers import method_source, one_spec

Plugin = Callable[..., Path]
ACCELERATOR = getattr(torch, "AcceleratorError", RuntimeError)
FULL = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    ACCELERATOR("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "MPS backend out of memory (MPS allocated: 9.0 GB, other allocations: 1 GB, max allowed: 9 GB)"
    ),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried 2**58"
    ),
    MemoryError(),
]
BROKEN = [
    "CUDA error: device-side assert triggered",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: unspecified launch failure",
    "HIP error: invalid device function",
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:30])
def test_every_text_of_full_memory_is_known(error: Exception) -> None:
    failure = describe_failure(error)
    assert failure.kind == "out-of-memory"
    assert not devices.is_broken("cpu", failure)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory of the teacher"), RuntimeError("shape mismatch")]
)
def test_other_faults_are_errors(error: Exception) -> None:
    assert describe_failure(error).kind == "error"
    assert not devices.is_broken("cpu", describe_failure(error))


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_context_is_known_by_its_words(text: str) -> None:
    assert devices.is_broken("cpu", describe_failure(ACCELERATOR(text)))


def test_a_broken_context_is_known_by_asking_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = describe_failure(ValueError("something else"))

    def broken(device: str) -> None:
        raise ACCELERATOR("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert devices.is_broken("cuda:0", failure)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert not devices.is_broken("cuda:0", failure)


@pytest.mark.parametrize(
    ("fit", "spent"),
    [
        (f"raise RuntimeError({BROKEN[0]!r})", True),
        ("raise RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED')", False),
        ("raise ValueError('no such class')", False),
        ("pass", False),
    ],
)
def test_a_fit_that_breaks_its_device_retires_its_worker(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: str, spent: bool
) -> None:
    plugin("faulty", method_source("faulty", fit=fit))
    freed: list[str] = []
    retired: list[bool] = []
    monkeypatch.setattr(worker, "free_cache", freed.append)
    job = Job(fit=one_spec(methods=("faulty",), bits=(8,)))
    outcome = Work(tmp_path, Runtime(), None)(job, Link(retire=lambda: retired.append(True)))
    assert outcome is not None
    assert (outcome.record.failure is None) == (fit == "pass")
    assert bool(retired) == spent
    assert freed == ["cpu"], "what an idle worker does not need goes back to the device"


def test_cached_memory_goes_back_to_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: calls.append("mps"))
    for device in ("cpu", "cuda:1", "mps"):
        devices.free_cache(device)
    assert calls == ["cuda", "mps"]
