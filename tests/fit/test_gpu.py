"""The same commands on a GPU: data on the device, bf16, channels-last. Skipped, and said so, without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark import registry
from benchmark.fit.runtime import Runtime
from benchmark.store.store import Store
from benchmark.sweep import driver
from benchmark.sweep import plan as planning
from benchmark.sweep.display import Lines
from tests.helpers import sweep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: GPU runs are not tested"),
]


@pytest.mark.parametrize("method", [e.name for e in registry.entries("methods") if not e.error])
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_every_method_trains_on_the_gpu(tmp_path: Path, method: str, precision: str) -> None:
    store = Store(tmp_path)
    plan = planning.plan(sweep(methods=(method,), epochs=2, precision=precision), store, None)
    store.open()
    summary = driver.execute(plan, store, Runtime(device="cuda:0", curve_points=1), None, Lines(every=1e9))
    (record,) = summary.records
    assert record.failure is None
    assert record.environment is not None
    assert record.environment.device.startswith("cuda:0")
    assert record.environment.precision == "fp32"  # the digits' network is small
    assert record.peak_gpu_memory_mib is not None
    assert record.timings.encode_images_per_second > 0
    assert record.score() > 0.12
