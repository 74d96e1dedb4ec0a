"""Checks of what was learnt: bits that vary, codes that retrieve, gradients that arrive."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark import metrics
from benchmark.authoring.conformance import data as tiny
from benchmark.authoring.conformance.lab import (
    BITS,
    FEW_UPDATES,
    Broken,
    Finding,
    Lab,
    seed_globals,
    signs,
    trainable,
)

#: mAP by which codes must beat random codes on the tiny data, where random codes get about 0.27.
MARGIN = 0.25


def constant_bits(lab: Lab) -> Finding:
    """Every bit takes both values on the test images."""
    codes = signs(lab.outputs).reshape(len(lab.outputs), -1)
    constant = (codes == codes[:1]).all(dim=0).nonzero()[:, 0].tolist()
    if constant:
        raise Broken(f"{len(constant)} of {codes.shape[1]} bits are constant: {constant[:8]}")
    return Finding(f"all {codes.shape[1]} bits vary", codes.shape[1])


def beats_random(lab: Lab) -> Finding:
    """Codes retrieve images of the same class far better than random codes do."""
    data = tiny.tiny_set()
    noise = torch.randn(len(data.test_classes), BITS, generator=torch.Generator().manual_seed(0))
    chance, score = (_map(outputs, data.test_classes) for outputs in (noise, lab.outputs))
    if not score >= chance + MARGIN:
        raise Broken(f"mAP {score:.3f}, random codes {chance:.3f}")
    return Finding(f"mAP {score:.3f}, random codes {chance:.3f}", len(data.test_classes))


def gradient(lab: Lab) -> Finding:
    """Every parameter that can be reached from the method and asks for a gradient moves in training."""
    if lab.cls.info.trained_by == "closed-form":
        moving = trainable(lab.trained)
        if moving and not hasattr(lab.trained, "_network"):
            raise Broken(f"declared closed-form, yet {next(iter(moving))} asks for a gradient")
        return Finding("closed-form: no parameter is trained by gradient")
    method = lab.fresh()
    before: dict[str, Tensor] = {}

    def snapshot() -> None:
        before.update({path: value.detach().clone() for path, value in trainable(method).items()})

    data = lab.training_data(BITS)
    context = lab.context(data, FEW_UPDATES, at_start=snapshot)
    seed_globals(context.seed("fit"))
    method.fit(data, context)
    if not before:
        return _moved_state(lab)
    still = [path for path, value in trainable(method).items() if torch.equal(value, before.get(path, value))]
    if still:
        raise Broken(f"{len(still)} of {len(before)} parameters never move: {', '.join(still[:4])}")
    return Finding(f"all {len(before)} parameter tensors move", len(before))


def _moved_state(lab: Lab) -> Finding:
    """For methods that announce no steps: their state after many updates against that after one."""
    early = lab.fit(lab.training_data(BITS), 1).state()
    late = lab.trained.state()
    moved = [key for key in late if key in early and not torch.equal(late[key], early[key])]
    if not moved:
        raise Broken("no trainable parameter was found and the state is the same after 1 and more updates")
    return Finding(f"{len(moved)} of {len(late)} state tensors move with more updates", len(moved))


def _map(outputs: Tensor, classes: Tensor) -> float:
    values, labels = outputs.reshape(len(outputs), -1).float().numpy(), classes.numpy()
    return float(metrics.mean_average_precision(values, values, labels, labels, threshold=0))
