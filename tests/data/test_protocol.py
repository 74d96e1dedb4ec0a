from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import registry
from benchmark.data import protocol
from benchmark.data.protocol import PROTOCOLS, Protocol, Split
from benchmark.errors import InputError
from benchmark.spec import LabelRule

INFO = registry.find("datasets", "digits").dataset_info
LABELS = np.eye(10, dtype=np.uint8)[np.random.default_rng(0).permutation(np.arange(900) % 10)]


def small(database: str = "all-but-query") -> Protocol:
    return Protocol(name="t", title="t", query=5, train=20, database=database)  # type: ignore[arg-type]


def same(a: Split, b: Split) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in Split.__dataclass_fields__)


@given(
    seed=st.integers(0, 2**31 - 1),
    fraction=st.sampled_from([1.0, 0.5, 0.1, 0.01]),
    database=st.sampled_from(["all-but-query", "rest", "train"]),
    tuning=st.booleans(),
)
@settings(derandomize=True, max_examples=40, deadline=None)
def test_parts_are_disjoint_and_balanced(seed: int, fraction: float, database: str, *, tuning: bool) -> None:
    if tuning and round(fraction * 20) < 2:
        return
    split = protocol.draw(small(database), INFO, LABELS, seed, LabelRule(fraction=fraction), tuning=tuning)
    train = np.concatenate([split.labelled, split.hidden, split.tuning])
    assert len(set(train)) == len(train) == 200
    assert not set(split.query) & set(train)
    assert not set(split.query) & set(split.database)
    assert len(set(split.database)) == len(split.database)
    inside = {"all-but-query": 850, "rest": 650, "train": 200}[database]
    assert len(split.database) == inside
    assert set(train) <= set(split.database) if database != "rest" else not set(train) & set(split.database)
    for rows, count in ((split.query, 5), (split.labelled, None)):
        per_class = LABELS[rows].sum(axis=0)
        assert per_class.min() == per_class.max() >= 1
        assert count is None or per_class[0] == count
    assert bool(len(split.tuning)) == tuning


@given(seed=st.integers(0, 1000))
@settings(derandomize=True, max_examples=20, deadline=None)
def test_smaller_label_shares_are_nested(seed: int) -> None:
    shares = [
        protocol.draw(small(), INFO, LABELS, seed, LabelRule(fraction=f)) for f in (0.01, 0.1, 0.5, 1.0)
    ]
    for less, more in itertools.pairwise(shares):
        assert set(less.labelled) < set(more.labelled)
        assert (less.query == more.query).all()
    assert [len(split.labelled) for split in shares] == [10, 20, 100, 200]


def test_draws_depend_on_seed_and_data_set_alone() -> None:
    first = protocol.draw(small(), INFO, LABELS, 3)
    np.random.seed(99)
    np.random.random(1000)
    assert same(first, protocol.draw(small(), INFO, LABELS, 3))
    assert not same(first, protocol.draw(small(), INFO, LABELS, 4))
    other = INFO.model_copy(update={"split_key": "another"})
    assert not same(first, protocol.draw(small(), other, LABELS, 3))


def test_draws_are_pinned() -> None:
    """The same on another machine and after an upgrade: published ids must stay meaningful."""
    split = protocol.draw(small(), INFO, LABELS, 0)
    assert split.query[:6].tolist() == [20, 30, 83, 94, 95, 98]


def test_two_encodings_of_a_collection_share_their_photographs() -> None:
    """cifar10 lists images by batch, cifar10-jpeg by class; the draws go by the order inside a class."""
    by_batch = np.arange(900) % 10
    by_class = np.sort(by_batch, kind="stable")
    a, b = (registry.find("datasets", name).dataset_info for name in ("cifar10", "cifar10-jpeg"))
    one = protocol.draw(small(), a, np.eye(10, dtype=np.uint8)[by_batch], 0)
    two = protocol.draw(small(), b, np.eye(10, dtype=np.uint8)[by_class], 0)

    def positions(rows: np.ndarray, labels: np.ndarray) -> set[tuple[int, int]]:
        return {(int(labels[row]), int((labels[:row] == labels[row]).sum())) for row in rows}

    assert positions(one.query, by_batch) == positions(two.query, by_class)


def test_too_few_images_are_named() -> None:
    with pytest.raises(InputError, match=r"class .0.*has 90"):
        protocol.draw(PROTOCOLS["balanced-100-500"], INFO, LABELS, 0)
    with pytest.raises(InputError, match="2 labelled images"):
        protocol.draw(small(), INFO, LABELS, 0, LabelRule(fraction=0.01), tuning=True)


def test_protocols_are_resolved_by_name() -> None:
    assert protocol.resolve("default", INFO).name == "digits-20-50"
    assert protocol.resolve("balanced-20-50", INFO).name == "balanced-20-50"
    with pytest.raises(InputError, match="did you mean cifar10-59k"):
        protocol.resolve("cifar10-59", INFO)
    with pytest.raises(InputError, match="not for data set 'digits'"):
        protocol.resolve("cifar10-59k", INFO)


def test_published_cifar_protocols_have_their_sizes() -> None:
    labels = np.eye(10, dtype=np.uint8)[np.arange(60000) % 10]
    info = registry.find("datasets", "cifar10").dataset_info
    sizes = {}
    for name in ("cifar10-59k", "cifar10-54k", "cifar10-50k"):
        split = protocol.draw(PROTOCOLS[name], info, labels, 0)
        sizes[name] = (len(split.labelled), len(split.query), len(split.database))
    assert sizes == {
        "cifar10-59k": (5000, 1000, 59000),
        "cifar10-54k": (5000, 1000, 54000),
        "cifar10-50k": (50000, 10000, 50000),
    }
