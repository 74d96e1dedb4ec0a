"""What a device says when it is full or broken, and what becomes of the worker that heard it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.fit import devices
from benchmark.fit.failures import describe_failure
from benchmark.fit.runtime import Runtime
from benchmark.spec import Job
from benchmark.store.store import Store
from benchmark.sweep import driver, worker
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from benchmark.sweep.executors import Link, LocalProcesses, RayCluster, Serial
from benchmark.sweep.worker import Work
from tests.helpers import method_source, one_spec, sweep

RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")

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
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory: you tried 2**58"
    ),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("Invalid buffer size: 19.07 GiB"),
    OSError(12, "Cannot allocate memory"),
    MemoryError(),
]
BROKEN = [
    "CUDA error: device-side assert triggered",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: unspecified launch failure",
    "HIP error: invalid device function",
]


#: What stands for a CUDA context: once broken, every fit in the process fails.
BREAKS = """
            if ctx.task.bits == 8 or hasattr(torch, "broken_by_a_test"):
                torch.broken_by_a_test = True
                raise RuntimeError("CUDA error: device-side assert triggered")
"""


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:30])
def test_every_text_of_full_memory_is_known(error: Exception) -> None:
    failure = describe_failure(error)
    assert failure.kind == "out-of-memory"
    assert not devices.is_broken("cpu", failure)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory of the teacher"),
        RuntimeError("shape mismatch"),
        OSError(28, "No space left on device"),
    ],
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


def test_an_exception_that_leaves_a_job_retires_its_worker_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retired: list[bool] = []
    job = Job(fit=one_spec(methods=("lsh",), bits=(8,)))
    for text, spent in ((BROKEN[0], True), ("no such file", False)):

        def fails(*arguments: object, text: str = text, **options: object) -> None:
            raise ACCELERATOR(text)

        monkeypatch.setattr(worker, "run_job", fails)
        with pytest.raises(ACCELERATOR, match=text):
            Work(tmp_path, Runtime(), None)(job, Link(retire=lambda: retired.append(True)))
        assert retired == [True] * spent
        retired.clear()


@pytest.mark.parametrize("kind", ["serial", "processes", pytest.param("ray", marks=[RAY, pytest.mark.slow])])
def test_the_fits_after_a_broken_device_have_another_process(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A fit at 8 bits breaks its process, in which every later one would fail; the later ones are done."""
    plugin("faulty", method_source("faulty", fit=BREAKS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    executor = {
        "serial": Serial,
        "processes": lambda: LocalProcesses(1),
        "ray": lambda: RayCluster(workers=1),
    }
    store = Store(tmp_path / "results")
    grid = planning.plan(sweep(methods=("faulty",), bits=(8, 16, 32)), store, None)
    store.open()
    try:
        done = driver.execute(grid, store, Runtime(), None, Lines(every=1e9), executor=executor[kind]())
    finally:
        vars(torch).pop("broken_by_a_test", None)
    states = {record.spec.bits: record.state for record in done.records}
    assert states == {8: "failed", 16: "done", 32: "done"}


def test_cached_memory_goes_back_to_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: calls.append("mps"))
    for device in ("cpu", "cuda:1", "mps"):
        devices.free_cache(device)
    assert calls == ["cuda", "mps"]
