"""Training with compiled networks: the same codes, said in the record, and never at the cost of a fit.

The compiler proper needs a C++ compiler and many seconds: torch's own stand-in for it traces the same graphs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.fit import compiled
from benchmark.fit.compiled import Compiled
from benchmark.fit.result import FitResult, Interrupted
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.spec import TrainJob
from benchmark.store.mlflow_fields import tags_of
from benchmark.store.record import Environment
from benchmark.store.store import Store
from tests.helpers import digits, method_source, one_spec, stop_after

Plugin = Callable[..., Path]
Cli = Callable[..., tuple[int, str, str]]
#: Share of code bits that rounding may turn.
TURNED = 0.01

#: HashNet with another network, `{forward}`, under the name `odd`.
ODD = """
import torch
from torch import nn
from benchmark.methods.hashnet import HashNet

CALLS = []

class Net(nn.Module):
    def __init__(self, task):
        super().__init__()
        self.layer = nn.Linear(task.channels * task.height * task.width, task.bits)

    def forward(self, images):
        {forward}
        return self.layer(images.flatten(1))

class Odd(HashNet):
    info = HashNet.info.model_copy(update={{"name": "odd"}})

    def build(self, task):
        return {{"hash": Net(task)}}

    def step(self, batch):
        {step}
        return super().step(batch)
"""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")


def fit(method: str, *, wanted: bool = True, workdir: Path | None = None, **how: Any) -> FitResult:
    spec = one_spec(methods=(method,), epochs=1, bits=(16,))
    runtime = Runtime(compile=wanted, curve_points=2, checkpoint_seconds=0)
    return run_job(TrainJob(spec), digits(), runtime, workdir=workdir, **how)


@functools.cache
def plain_hashnet() -> FitResult:
    return fit("hashnet", wanted=False)


def said(result: FitResult) -> str:
    assert result.record.environment is not None
    return result.record.environment.compiled


def turned(one: FitResult, other: FitResult) -> float:
    """Share of the database's code bits that differ."""
    a, b = (result.artifacts.codes["database_codes"] for result in (one, other))
    return float(np.bitwise_count(a ^ b).mean() / 8)


@pytest.mark.parametrize(
    ("method", "parts"),
    [("hashnet", "hash"), ("coophash", "generator, hash.base, hash.encoder")],
    ids=["one", "several"],
)
def test_codes_are_those_of_the_uncompiled_fit(method: str, parts: str) -> None:
    plain, quick = plain_hashnet() if method == "hashnet" else fit(method, wanted=False), fit(method)
    assert said(quick) == f"aot_eager: {parts}"
    assert turned(plain, quick) <= TURNED
    assert plain.record.fit_id == quick.record.fit_id
    assert [*plain.artifacts.weights] == [*quick.artifacts.weights]
    assert [row.keys() for row in plain.artifacts.curve] == [row.keys() for row in quick.artifacts.curve]
    assert quick.record.score() == pytest.approx(plain.record.score(), abs=TURNED)
    assert plain.record.environment is not None
    assert quick.record.environment is not None
    assert "compiled" not in plain.record.environment.model_dump()
    told = quick.record.environment.model_dump_json()
    assert Environment.model_validate_json(told) == quick.record.environment
    assert "changed_settings" not in quick.record.facts


@pytest.mark.parametrize(
    ("forward", "step", "reason"),
    [
        ("if images.sum() > 1e9: return -images", "pass", "no: Unsupported: "),
        (
            "pass",
            "for n in range(12): self.networks['hash'](batch.images[n:])",
            "no: FailOnRecompileLimitHit",
        ),
        ("CALLS.append(1); print(len(CALLS), file=open('/dev/null', 'w'))", "pass", "no: "),
    ],
    ids=["a branch on data", "changing shapes", "a side effect"],
)
def test_what_cannot_be_compiled_trains_uncompiled(
    plugin: Plugin, forward: str, step: str, reason: str
) -> None:
    plugin("odd", ODD.format(forward=forward, step=step))
    plain, other = fit("odd", wanted=False), fit("odd")
    assert other.record.failure is None
    assert said(other).startswith(reason)
    assert turned(plain, other) == 0
    assert other.artifacts.log.count("trains uncompiled") == 1


def test_a_compiler_that_is_not_there_costs_no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(graph: Any, inputs: Any, **how: Any) -> Any:
        raise OSError("no C++ compiler")

    monkeypatch.setattr("torch._dynamo.lookup_backend", lambda name: none)
    quick = fit("hashnet")
    assert "no C++ compiler" in said(quick)
    assert said(quick).startswith("no: ")
    assert turned(plain_hashnet(), quick) == 0


@pytest.mark.parametrize("fit_text", ["pass", "[ctx.begin_step(step) for step in range(3)]"])
def test_a_method_with_its_own_loop_is_not_said_to_be_compiled(plugin: Plugin, fit_text: str) -> None:
    plugin("own", method_source("own", fit=fit_text))
    found = fit("own")
    assert said(found) == "no: its updates call no network of its own"
    assert found.artifacts.log.count("trains uncompiled") == 1


def test_a_failure_of_the_fit_itself_stays_one(plugin: Plugin) -> None:
    plugin("odd", ODD.format(forward="pass", step="raise ValueError('no such pair')"))
    failed = fit("odd")
    assert failed.record.failure is not None
    assert failed.record.failure.message == "ValueError: no such pair"
    assert said(failed) == "no: ValueError: no such pair"


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (True, True, "aot_eager: hash"),
        (True, False, "at first aot_eager: hash; then no"),
        (False, True, "at first no; then aot_eager: hash"),
    ],
)
def test_a_resumed_fit_says_how_each_part_was_trained(
    tmp_path: Path, first: bool, second: bool, text: str
) -> None:
    with stop_after(5) as stop, pytest.raises(Interrupted):
        fit("hashnet", wanted=first, workdir=tmp_path, stop=stop)
    assert (tmp_path / "checkpoint.pt").is_file()
    resumed = fit("hashnet", wanted=second, workdir=tmp_path)
    assert said(resumed) == text
    assert turned(plain_hashnet(), resumed) <= TURNED


def test_the_networks_are_given_back_as_they_were() -> None:
    class Method:
        networks = nn.ModuleDict({"hash": nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))})

    from torch._dynamo import config

    limit, names = config.recompile_limit, [*Method.networks.state_dict()]
    deepest = sys.getrecursionlimit()
    every = Compiled(Method(), torch.device("cpu"), wanted=True)
    every.begin_step()
    images = torch.ones(3, 4)
    one = Method.networks["hash"](images)
    with every.paused():
        Method.networks["hash"](torch.ones(7, 4))
    assert every.used == {"hash": None}
    assert [*Method.networks.state_dict()] == names
    Method.networks["late"] = nn.Linear(4, 4)
    every.begin_step()
    Method.networks["late"](images)
    assert every.text == "aot_eager: hash, late"
    sys.setrecursionlimit(deepest + 1000)  # as the compiler does
    every.end()
    assert sys.getrecursionlimit() == deepest
    assert config.recompile_limit == limit
    assert torch.equal(Method.networks["hash"](torch.ones(5, 4))[:3], one)
    assert all(part._compiled_call_impl is None for part in Method.networks.modules())


def test_the_flag_is_recorded_and_repeated(tmp_path: Path, run_cli: Cli) -> None:
    words = (
        "--methods",
        "hashnet",
        "--bits",
        "16",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--tracking-uri",
        "none",
    )
    assert run_cli("run", *words, "--compile", "--results", tmp_path)[0] == 0
    (record,) = Store(tmp_path).records()
    assert record.environment is not None
    assert record.environment.compiled == tags_of(record)["compiled"] == "aot_eager: hash"
    code, out, _ = run_cli("verify", record.fit_id, "--results", tmp_path, "--device", "cpu")
    assert code == 0
    assert "code bits are the same" in out
    assert "trained compiled" in out
