"""What a fit computes in on a GPU: set, recorded, and told by `verify`. No GPU is needed: torch's switches are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.fit import devices
from benchmark.fit.devices import numerics, resolve_precision
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import precision_of
from benchmark.spec import Job
from benchmark.store.record import Environment, Record
from benchmark.sweep import verify
from benchmark.sweep.executors import Link
from benchmark.sweep.worker import Work
from tests.helpers import execute, one_spec, only


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


@pytest.mark.parametrize(
    ("asked", "device", "backbone", "found"),
    [
        ("auto", "cuda:0", "compact", "fp32"),
        ("auto", "cuda:0", "residual", "fp32"),
        ("auto", "cuda:0", "alexnet", "bf16"),
        ("auto", "cuda:0", "vit_base_patch16_224", "bf16"),
        ("auto", "cpu", "alexnet", "fp32"),
        ("tf32", "cuda:0", "compact", "tf32"),
        ("tf32", "cpu", "compact", "fp32"),
        ("fp32", "cuda:0", "alexnet", "fp32"),
        ("bf16", "cpu", "compact", "bf16"),
    ],
)
@pytest.mark.usefixtures("ampere")
def test_what_auto_means(asked: str, device: str, backbone: str, found: str) -> None:
    assert resolve_precision(asked, device, backbone) == found


@pytest.mark.usefixtures("ampere")
def test_what_learns_from_a_large_frozen_backbone_is_small() -> None:
    spec, runtime = one_spec(backbone="resnet18"), Runtime(device="cuda:0")
    assert precision_of(spec, runtime) == "bf16"
    assert precision_of(spec.model_copy(update={"frozen": True}), runtime) == "fp32"


def test_a_gpu_without_tf32_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert resolve_precision("tf32", "cuda:0", "compact") == "fp32"


def _switches() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    exact = torch.are_deterministic_algorithms_enabled()
    return (
        cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        cudnn.deterministic,
        cudnn.benchmark,
        exact,
    )


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_tf32_is_what_was_asked_for_and_is_put_back(precision: str) -> None:
    before = _switches()
    inside: list[tuple[bool, ...]] = []

    def fails() -> None:
        with numerics(precision, "cuda:0"):
            inside.append(_switches()[:2])
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fails()
    assert inside == [(precision == "tf32",) * 2]
    assert _switches() == before


def test_deterministic_algorithms_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = _switches()
    with numerics("fp32", "cuda:0", deterministic=True):
        assert _switches() == (False, False, True, False, True)
        assert devices.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert _switches() == before
    with numerics("fp32", "cpu", deterministic=True):
        assert _switches() == before


def test_a_fit_runs_and_is_recorded_with_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fit asks for the switches of its own precision; a CPU has nothing to be held to."""
    asked: list[tuple[str, str, bool]] = []
    plain = devices.numerics

    def spy(precision: str, device: str, deterministic: bool = False) -> object:
        asked.append((precision, device, deterministic))
        return plain(precision, device, deterministic)

    monkeypatch.setattr("benchmark.fit.train_job.numerics", spy)
    job = Job(fit=one_spec(methods=("lsh",), bits=(8,), precision="tf32"))
    outcome = Work(tmp_path, Runtime(deterministic=True), None)(job, Link())
    assert outcome is not None
    assert asked == [("fp32", "cpu", True)]
    environment = outcome.record.environment
    assert environment is not None
    assert (environment.precision, environment.deterministic) == ("fp32", False)
    assert "deterministic" not in environment.model_dump(), "said only where it was asked of a GPU"
    strict = environment.model_copy(update={"deterministic": True})
    assert Environment.model_validate_json(strict.model_dump_json()) == strict


def _made_on(record: Record, **changes: object) -> Record:
    assert record.environment is not None
    there = record.environment.model_dump() | {"device": "cuda:1 NVIDIA H100", "precision": "fp32"} | changes
    return record.model_copy(update={"environment": Environment.model_validate(there)})


@pytest.mark.usefixtures("ampere")
def test_verify_knows_the_gpus_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = only(execute(tmp_path, methods=("lsh",), bits=(8,))[1])
    known = {**(record.environment.versions if record.environment else {}), "cuda": "12.8", "cudnn": "91002"}
    monkeypatch.setattr(verify, "device_title", lambda device: f"{device} NVIDIA A100")

    def notes(**changes: object) -> str:
        return "; ".join(verify._differences(_made_on(record, **changes), "cuda:0"))

    assert "made on cuda:1 NVIDIA H100, this is cuda:0 NVIDIA A100" in notes()
    assert "made on" not in notes(device="cuda:3 NVIDIA A100")
    assert "made in bf16, this is fp32" in notes(precision="bf16")
    assert "TF32, which its convolutions may have used" in notes()
    assert "TF32" not in notes(versions=known)
    assert "cudnn was 91002" in notes(versions=known)
    assert "cuDNN and cuBLAS may have chosen" in notes()
    assert "cuDNN and cuBLAS" not in notes(deterministic=True)
    assert "cuDNN" not in notes(device="cpu")
