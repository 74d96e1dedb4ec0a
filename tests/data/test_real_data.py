"""Real MNIST and CIFAR-10 from the folder that BENCHMARK_DATA names; skipped, and said so, without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import registry
from benchmark.data import protocol
from benchmark.data.load import LoadedDataset, load
from benchmark.store.store import Store

Cli = Callable[..., tuple[int, str, str]]


def available(name: str, root: Path) -> LoadedDataset:
    from benchmark.errors import InputError

    try:
        registry.dataset(name).sources(root)
    except InputError as error:
        pytest.skip(str(error))
    return load(registry.dataset(name), root)


def test_mnist_is_the_real_one(real_data: Path) -> None:
    data = available("mnist", real_data)
    assert data.images.shape == (70_000, 1, 28, 28)
    counts = data.labels[:60_000].sum(axis=0)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.labels[:5].argmax(1).tolist() == [5, 0, 4, 1, 9]


def test_torchvision_reads_the_same_mnist(real_data: Path) -> None:
    from torchvision.datasets import MNIST

    data = available("mnist", real_data)
    theirs = MNIST(str(real_data), train=False, download=False)
    assert (theirs.data.numpy() == data.images[60_000:, 0]).all()
    assert (theirs.targets.numpy() == data.labels[60_000:].argmax(1)).all()


def test_cifar10_jpeg_is_whole_and_named_for_what_it_is(real_data: Path) -> None:
    data = available("cifar10-jpeg", real_data)
    assert data.images.shape == (60_000, 3, 32, 32)
    assert data.labels.sum(axis=0).tolist() == [6000] * 10
    assert "JPEG" in data.info.title
    means = data.images.reshape(60_000, 3, -1).mean(axis=(0, 2), dtype=np.float64) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)  # the published channel means


def test_the_published_split_sizes(real_data: Path) -> None:
    data = available("cifar10-jpeg", real_data)
    split = protocol.draw(protocol.resolve("default", data.info), data.info, data.labels, 0)
    assert (len(split.labelled), len(split.query), len(split.database)) == (5000, 1000, 59_000)


#: Retrieval among the training images: a tenth of the encoding of a whole database.
_SMALL = 'query = 100\ntrain = 500\ndraw = "per-class"\ndatabase = "train"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "methods", "rule", "floor", "database"),
    [
        ("mnist", "hashnet,itq,lsh", _SMALL, 0.35, "5,000"),
        ("mnist", "itq,lsh", "", None, "69,000"),
        ("cifar10-jpeg", "hashnet,itq,lsh", _SMALL, 0.12, "5,000"),
        ("cifar10-jpeg", "itq,lsh", "", None, "59,000"),
    ],
    ids=["mnist-small", "mnist", "cifar10-jpeg-small", "cifar10-jpeg"],
)
def test_a_sweep_on_real_images(
    real_data: Path,
    tmp_path: Path,
    run_cli: Cli,
    name: str,
    methods: str,
    rule: str,
    floor: float | None,
    database: str,
) -> None:
    """The command of the README on real data, with a budget of seconds: better than chance (0.10)."""
    available(name, real_data)
    arguments = ["--datasets", name, "--methods", methods, "--bits", "32", "--epochs", "1"]
    if rule:
        (tmp_path / "small.toml").write_text(rule)
        arguments += ["--protocol-file", str(tmp_path / "small.toml")]
    results = tmp_path / "runs"
    code, out, err = run_cli(
        "run", *arguments, "--results", results, "--tracking-uri", "none", "--curve-points", 1
    )
    assert code == 0, err
    scores = {record.spec.method: record.score() for record in Store(results).records()}
    assert set(scores) == set(methods.split(","))
    assert scores["itq"] > scores["lsh"] > 0.105
    assert floor is None or scores["hashnet"] > floor
    assert f"{database} database images" in out
