"""The same commands on a GPU: data on the device, bf16, channels-last. Skipped, and said so, without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


@pytest.mark.parametrize("method", ["hashnet", "coophash"])
def test_compiled_networks_give_the_same_codes(tmp_path: Path, method: str) -> None:
    codes, texts = [], []
    for wanted in (False, True):
        store = Store(tmp_path / str(wanted))
        plan = planning.plan(sweep(methods=(method,), epochs=2), store, None)
        store.open()
        runtime = Runtime(device="cuda:0", curve_points=1, compile=wanted)
        (record,) = driver.execute(plan, store, runtime, None, Lines(every=1e9)).records
        assert record.environment is not None
        texts.append(record.environment.compiled)
        codes.append(store.codes(record.spec)["database_codes"])
    assert texts[0] == ""
    assert texts[1].startswith("inductor with CUDA graphs: ")
    assert np.bitwise_count(codes[0] ^ codes[1]).mean() / 8 < 0.05
