"""Updates a second on cached feature vectors, beside bare loops of torch in the same process.

    python benchmarks/features_speed.py [--rounds 3] [--dimensions 1280]

Each method trains 1,000 updates of 64 of 5,000 made-up vectors (13 epochs), as a run does: with its seeded batches,
log, schedule and checks. The bare loop has the same layer, loss and optimiser and nothing else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark import registry
from benchmark.data.load import load
from benchmark.fit.context import attach
from benchmark.fit.randomness import seed_everything
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import open_fit
from benchmark.spec import FitSpec

CLASSES, TRAIN, BATCH, BITS, EPOCHS = 10, 5_000, 64, 32, 13


def vectors(dimensions: int):
    """A data set of vectors around class centres, in memory."""
    draw = np.random.default_rng(0)
    digits = load(registry.dataset("digits"), None)
    n = TRAIN + 1_500
    labels = np.eye(CLASSES, dtype=np.uint8)[np.arange(n) % CLASSES]
    centres = draw.normal(size=(CLASSES, dimensions))
    images = (centres[np.arange(n) % CLASSES] + draw.normal(size=(n, dimensions))).astype(np.float32)
    names = np.array([str(row) for row in range(n)])
    info = digits.info.as_vectors(dimensions)
    return replace(digits, info=info, images=images, labels=labels, names=names, fingerprint="0" * 16)


def ours(method: str, data) -> float:
    """Updates a second of a method in the harness's loop."""
    cls = registry.method_class(method)
    spec = FitSpec(
        method=method, method_version=1, params=cls.Params().model_dump(mode="json"), dataset="digits",
        fingerprint=data.fingerprint, protocol=f"custom-q1000-t{TRAIN}-stratified-all-but-query-kall",
        protocol_version=1, backbone="vectors", weights="none", bits=BITS, label_fraction=1.0, seed=0,
        epochs=EPOCHS, batch_size=BATCH,
    )  # fmt: skip
    opened = open_fit(spec, data, Runtime(curve_points=1))
    ctx, fit = opened.ctx, opened.method
    attach(ctx, fit, opened.evaluator, lambda event: None, lambda: False)
    training = opened.evaluator.training_data(ctx.task)
    seed_everything(ctx.seed("fit"))
    ctx.evaluate = lambda step: None  # type: ignore[method-assign]  # scoring is not training
    ctx.start()
    begun = time.perf_counter()
    fit.fit(training, ctx)
    return ctx.updates / (time.perf_counter() - begun)


def _cross_entropy(outputs: Tensor, labels: Tensor, extra: torch.nn.Module, centres: Tensor) -> Tensor:
    return functional.cross_entropy(extra(outputs), labels)


def _csq(outputs: Tensor, labels: Tensor, extra: torch.nn.Module, centres: Tensor) -> Tensor:
    central = functional.binary_cross_entropy_with_logits(2 * outputs, (centres[labels] + 1) / 2)
    return central + 1e-4 * (torch.tanh(outputs).abs() - 1).square().mean()


def _hashnet(outputs: Tensor, labels: Tensor, extra: torch.nn.Module, centres: Tensor) -> Tensor:
    codes, similar = torch.tanh(outputs), (labels[:, None] == labels).float()
    product = codes @ codes.T * (10 / BITS)
    weight = torch.where(similar > 0, similar.numel() / similar.sum(), similar.numel() / (1 - similar).sum())
    return (weight * (functional.softplus(product) - similar * product)).mean()


LOSSES: dict[str, Callable[..., Tensor]] = {"cross-entropy": _cross_entropy, "csq": _csq, "hashnet": _hashnet}


def bare(method: str, data) -> float:
    """Updates a second of a plain loop."""
    torch.manual_seed(0)
    x = torch.from_numpy(data.images[:TRAIN])
    y = torch.from_numpy(data.labels[:TRAIN].argmax(axis=1))
    layer, extra = torch.nn.Linear(x.shape[1], BITS), torch.nn.Linear(BITS, CLASSES)
    optimiser = torch.optim.Adam(
        [*layer.parameters(), *(extra.parameters() if method == "cross-entropy" else ())], 1e-3
    )
    centres, updates = torch.randn(CLASSES, BITS).sign(), EPOCHS * (TRAIN // BATCH)
    begun = time.perf_counter()
    for _ in range(updates):
        rows = torch.randint(0, TRAIN, (BATCH,))
        loss = LOSSES[method](layer(x[rows]), y[rows], extra, centres)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return updates / (time.perf_counter() - begun)


def main() -> None:
    """Print a line a method: the best of the rounds, ours and bare in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dimensions", type=int, default=1280)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = vectors(options.dimensions)
    for method in LOSSES:
        ours(method, data)
        pairs = [(ours(method, data), bare(method, data)) for _ in range(options.rounds)]
        mine, theirs = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
        ratio = sorted(pair[1] / pair[0] for pair in pairs)[len(pairs) // 2]
        print(f"{method:<14} {mine:7,.0f} updates/s, bare loop {theirs:7,.0f}; bare / ours {ratio:.2f}")


if __name__ == "__main__":
    main()
