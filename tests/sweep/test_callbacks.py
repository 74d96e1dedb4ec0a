"""Callbacks hear what happens in every executor, and can neither change a fit nor end a run."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import benchmark
from benchmark.errors import InputError
from benchmark.fit.runtime import Progress
from benchmark.sweep.callbacks import Callbacks, checked
from benchmark.use.loggers import TensorBoard, WeightsAndBiases

KEYS = {"methods": "hashnet", "bits": 8, "epochs": 2, "tracking_uri": "none", "progress": False}


class Watch:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.points: list[int] = []
        self.ends: list[Any] = []

    def on_step(self, fit: Any, progress: Any) -> None:
        self.steps.append((fit.fit_id, progress.step))
        random.seed(1), np.random.seed(1), torch.manual_seed(1), torch.rand(3)

    def on_evaluation(self, fit: Any, point: Any) -> None:
        self.points.append(point.step)

    def on_end(self, record: Any) -> None:
        self.ends.append(record)


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_callback_hears_everything_and_changes_nothing(tmp_path: Path, executor: str) -> None:
    watch = Watch()
    plain = benchmark.run(**KEYS, results=str(tmp_path / "plain"))
    heard = benchmark.run(
        **KEYS, results=str(tmp_path / "heard"), executor=executor, workers=1, callbacks=[watch]
    )
    (record,) = watch.ends
    assert record.fit_id == heard["fit_id"][0] == plain["fit_id"][0]
    assert watch.points == [point.step for point in record.curve]
    assert {fit for fit, _ in watch.steps} == {record.fit_id}
    assert watch.steps[-1][1] == record.updates
    one, two = (benchmark.load_fit(record.fit_id, tmp_path / name).codes for name in ("plain", "heard"))
    assert all(np.array_equal(one[key], two[key]) for key in one)
    benchmark.run(**KEYS, results=str(tmp_path / "heard"), callbacks=[watch])
    assert len(watch.ends) == 1, "a finished fit is not repeated and tells nothing"


def test_a_callback_that_draws_leaves_the_generators_as_they_were() -> None:
    """A fit seeds anew before each update, so that equal codes alone would not show this."""
    watch, fit = Watch(), SimpleNamespace(fit_id="one")
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    Callbacks([watch], print).progressed(fit, Progress("train", 1, 2))  # type: ignore[arg-type]
    assert watch.steps == [("one", 1)]
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert after == before


class Meddler:
    """Changes what a fit reads, of the process and of what it is told; counts how often it was told."""

    def __init__(self) -> None:
        self.told = 0

    def on_step(self, fit: Any, progress: Any) -> None:
        self.told += 1
        torch.set_autocast_enabled("cpu", True)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        np.seterr(all="raise")
        os.chdir("/")
        fit.params["iterations"] = 1

    def on_end(self, record: Any) -> None:
        self.told += 1
        record.health.clear()


def test_settings_and_arguments_that_a_callback_changes_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    meddler = Meddler()
    plain = benchmark.run(**KEYS, results="plain")
    meddled = benchmark.run(**KEYS, results="meddled", callbacks=[meddler])
    assert meddler.told > 2, "it was not left out"
    assert meddled.equals(plain)
    one, two = (benchmark.load_fit(plain["fit_id"][0], tmp_path / name) for name in ("plain", "meddled"))
    assert all(np.array_equal(one.codes[key], two.codes[key]) for key in one.codes)
    assert one.record.health == two.record.health
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (True, torch.float32)


def test_one_that_would_end_the_process_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Leaver:
        def on_step(self, fit: Any, progress: Any) -> None:
            raise SystemExit(3)

    assert benchmark.run(**KEYS, results=str(tmp_path), callbacks=[Leaver()])["state"].tolist() == ["done"]
    assert "Leaver.on_step raised SystemExit: 3; it is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([Watch], "the class Watch: give Watch"),
        ([Watch(), 42], r"callbacks\[1\], a int, has none of on_step"),
        (Watch(), "give a list of callbacks, not Watch"),
        ("abc", "give a list of callbacks, not str"),
    ],
)
def test_what_is_no_callback_is_refused_before_anything_runs(given: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        benchmark.run(**KEYS, results=str(tmp_path / "none"), callbacks=given)
    assert not (tmp_path / "none").exists()


def test_a_class_of_static_methods_is_a_callback() -> None:
    class Static:
        @staticmethod
        def on_end(record: Any) -> None: ...

    assert checked([Static]) == [Static]
    assert checked(None) == []


def test_the_one_that_raises_is_left_out_and_not_its_equal() -> None:
    class Equal:
        def __init__(self, broken: bool) -> None:
            self.broken, self.heard = broken, 0

        def __eq__(self, other: object) -> bool:
            return True

        def on_step(self, fit: Any, progress: Any) -> None:
            self.heard += 1
            if self.broken:
                raise ValueError

    good, bad = Equal(False), Equal(True)
    callbacks = Callbacks([good, bad], lambda text: None)
    for step in (1, 2):
        callbacks.progressed(SimpleNamespace(), Progress("train", step, 2))  # type: ignore[arg-type]
    assert (good.heard, bad.heard) == (2, 1)


def test_one_that_raises_is_left_out_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def on_step(self, fit: Any, progress: Any) -> None:
            raise RuntimeError("line one\nline two")

    watch, keys = Watch(), {**KEYS, "methods": "hashnet,lsh", "progress": True}
    frame = benchmark.run(**keys, results=str(tmp_path), callbacks=[Broken(), watch])
    assert frame["state"].tolist() == ["done", "done"]
    assert len(watch.ends) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "Broken.on_step raised" in line]
    assert len(said) == 1
    assert "RuntimeError: line one line two; it is left out" in said[0]


def test_the_loggers_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for both packages: what they are told is what the record holds."""
    told: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            told.append(("folder", folder))

        def add_scalar(self, *what: Any) -> None:
            told.append(what)

        def close(self) -> None:
            told.append(("closed",))

    class Run:
        summary: dict[str, float] = {}

        def log(self, row: dict[str, float], step: int) -> None:
            told.append(("log", step, row))

        def finish(self) -> None:
            told.append(("finished",))

    board, bias = ModuleType("torch.utils.tensorboard"), ModuleType("wandb")
    board.SummaryWriter = Writer  # type: ignore[attr-defined]
    bias.init = lambda **options: told.append(("init", options["id"])) or Run()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", bias)
    callbacks = [TensorBoard(tmp_path / "board"), WeightsAndBiases("mine")]
    frame = benchmark.run(**KEYS, results=str(tmp_path / "runs"), callbacks=callbacks)
    fit, score = frame["fit_id"][0], frame["map"][0]
    assert ("folder", str(tmp_path / "board" / fit)) in told
    assert ("clean/map", score, 14) in told
    assert ("closed",) in told
    assert ("init", fit) in told
    assert Run.summary["clean/map"] == score
    assert [row for row in told if row[0] == "log" and "curve/map" in row[2]]
    assert ("finished",) in told


@pytest.mark.parametrize(("made", "package"), [(TensorBoard, "tensorboard"), (WeightsAndBiases, "wandb")])
def test_a_missing_package_is_one_line(made: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch.utils.tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        made("somewhere")
