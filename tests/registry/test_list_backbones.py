"""`list backbones`: every name that `--backbone` takes, with what is known of it without building it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from benchmark import registry
from benchmark.contracts import Task
from benchmark.errors import InputError
from benchmark.registry import backbones
from benchmark.registry.backbones import networks

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return {one.name: one for one in networks()}


def _task(name: str, **changes: Any) -> Task:
    return Task(bits=8, classes=4, channels=3, height=32, width=32, backbone=name, **changes)


def test_every_name_is_taken_and_no_other_of_the_projects_own(found: dict[str, Any]) -> None:
    from benchmark.methods._backbones import BACKBONES

    assert {*BACKBONES} - {*found} == {"vectors"}  # what vectors get; no picture may
    for name in found:
        registry.check_backbone(_task(name))
    with pytest.raises(InputError, match="unknown backbone"):
        registry.check_backbone(_task("resnet999"))


def test_every_weight_is_taken_as_it_is_listed(found: dict[str, Any]) -> None:
    listed = [weights for one in found.values() for weights in one.weights]
    assert len(listed) > 100
    for weights in listed:
        registry.check_backbone(_task(weights.backbone, weights=weights.weights))
    assert {one.weights for one in found["resnet50"].weights} == {"imagenet", "imagenet-v1", "imagenet-v2"}
    assert all(
        not one.default or one.default in {weights.name for weights in one.weights} for one in found.values()
    )


def test_what_is_said_of_sizes_is_what_the_networks_have(found: dict[str, Any]) -> None:
    from benchmark.methods._backbones import build_backbone

    for name in ("alexnet", "vgg16", "resnet18", "resnet34", "resnet50"):
        assert registry.backbone_features(_task(name)) == found[name].features
    for name in ("resnet18", "test_vit", "test_efficientnet"):
        assert build_backbone(_task(name)).used.size == found[name].input_size
    assert found["compact"].input_size is None


def test_names_are_filtered(run_cli: Cli) -> None:
    code, out, _ = run_cli("list", "backbones", "resnet50", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["resnet50"]["library"] == "torchvision"
    assert all("resnet50" in name for name in rows)
    code, out, _ = run_cli("list", "backbones", "resnet5?")
    assert out.splitlines() == [line for line in out.splitlines() if line.startswith("resnet50 ")]
    assert "2048 features" in out
    assert "IMAGENET1K_V2 (default)" in out
    assert ".tv_in1k" in out
    assert "resnet50 " in run_cli("list", "backbones", "resnet50.tv")[1]
    code, _, err = run_cli("list", "backbones", "rezznet50")
    assert code == 2
    assert "has a name like 'rezznet50'; near it: resnet50" in err
    assert {line.split()[0] for line in run_cli("list", "methods", "itq")[1].splitlines()} == {
        "itq",
        "itq-cca",
    }


def test_without_timm_the_others_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert [one.library for one in backbones.networks()] == ["own"] * 3 + ["torchvision"] * 5


def test_other_listings_do_not_wait_for_torch() -> None:
    told = (
        "import sys; from benchmark.cli import main; main(['list', 'methods']); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"
