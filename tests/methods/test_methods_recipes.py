"""With its paper's optimiser a method has the rates of its release, each layer its own, from start to end."""

from __future__ import annotations

import pytest
import torch

from benchmark import registry
from benchmark.authoring.conformance import data as tiny
from benchmark.authoring.conformance.lab import CheckContext
from benchmark.methods._stepwise import StepwiseMethod

pytestmark = pytest.mark.processor


def rates(name: str, progress: float) -> tuple[float, float]:
    """The learning rates of the hash layer and of the backbone at a share of the budget."""
    cls = registry.method_class(name)
    assert issubclass(cls, StepwiseMethod)
    method = cls(cls.Params(recipe="paper"))
    method._assemble(CheckContext(task=tiny.task(8), device=torch.device("cpu")))
    method.optimizers = method.build_optimizers()
    method._schedule(progress)
    head, backbone = method.optimizers["main"].param_groups
    return head["lr"], backbone["lr"]


@pytest.mark.parametrize(
    ("name", "progress", "head", "backbone"),
    [
        # DeepHash, examples/dch: lr 0.005; dch.py applies `fcgrad * 10` to the last layer; no decay in 2,000 steps.
        ("dch", 0.0, 5e-2, 5e-3),
        ("dch", 0.99, 5e-2, 5e-3),
        # IDHN, train.py: 1e-3, opt1 at 0.01 of it; halved every 500 of 3,125 steps (100 epochs, 4,000 images).
        ("idhn", 0.0, 1e-3, 1e-5),
        ("idhn", 501 / 3125, 5e-4, 5e-6),
        ("idhn", 0.99, 1e-3 / 64, 1e-5 / 64),
        # qsmi, demo.py: 1e-3 for two convolutions and a layer trained from nothing; ours for a trained backbone.
        ("qsmih", 0.5, 1e-3, 1e-5),
        # CSQ, AlexNet commands: lr 0.0001, options.py: multi_lr 0.01; times 0.7 every 10 of 90 epochs.
        ("csq", 0.0, 1e-4, 1e-6),
        ("csq", 0.99, 1e-4 * 0.7**8, 1e-6 * 0.7**8),
        # BiHalf, Cifar10_I.py: 1e-4, times 0.1 every 120 of 300 epochs; the backbone is frozen without labels.
        ("bihalf", 119 / 300, 1e-4, 1e-4),
        ("bihalf", 121 / 300, 1e-5, 1e-5),
        ("bihalf-u", 0.99, 1e-6, 0.0),
        # ADSH, ADSH_CIFAR_10.py: 1e-3 for every layer, a tenth from the eleventh of 50 rounds on.
        ("adsh", 0.19, 1e-3, 1e-3),
        ("adsh", 0.21, 1e-4, 1e-4),
        # deep-mihash, CIFAR-1 command: lr 1e-3 for every layer of vggf, times 0.5 every 50 of 100 epochs.
        ("mihash", 0.49, 1e-3, 1e-3),
        ("mihash", 0.51, 5e-4, 5e-4),
        # DSHSD.py: Adam, 1e-5 for all layers. OrthoHash's comparison: 1e-4, backbone a tenth, a tenth from 80 %.
        ("dshsd", 0.99, 1e-5, 1e-5),
        ("sdh-c", 0.79, 1e-4, 1e-5),
        ("sdh-c", 0.81, 1e-5, 1e-6),
        # SSDH, main.py: Adam at 1e-3 with epsilon 1, whose mean of gradients is a tenth of momentum's sum.
        ("ssdh", 0.99, 1e-4, 1e-4),
    ],
)
def test_rates_are_those_of_the_release(name: str, progress: float, head: float, backbone: float) -> None:
    assert rates(name, progress) == pytest.approx((head, backbone), rel=1e-6)
