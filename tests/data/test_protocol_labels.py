"""Label scarcity and label noise: stratified, nested, exact, and the same whoever asks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import registry
from benchmark.contracts import DatasetInfo
from benchmark.data import protocol
from benchmark.data.protocol import Protocol, Split
from benchmark.data.protocol.label_shares import greedy_order
from benchmark.errors import InputError
from benchmark.spec import LabelRule

INFO = registry.find("datasets", "digits").dataset_info
CIFAR = registry.find("datasets", "cifar10").dataset_info
LABELS = np.eye(10, dtype=np.uint8)[np.random.default_rng(0).permutation(np.arange(900) % 10)]
RULE = Protocol(name="t", title="t", query=5, train=40)
MULTI_INFO = INFO.model_copy(update={"name": "many", "multi_label": True, "split_key": ""})
MULTI_RULE = Protocol(name="t", title="t", draw="random", query=50, train=300)


def multi_labels(images: int = 400, seed: int = 0) -> np.ndarray:
    """Ten labels from common to rare, some images without any."""
    rates = np.array([0.5, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.02, 0.01])
    return (np.random.default_rng(seed).random((images, 10)) < rates).astype(np.uint8)


def single(seed: int, *, info: DatasetInfo = INFO, tuning: bool = False, **rule: object) -> Split:
    return protocol.draw(RULE, info, LABELS, seed, LabelRule.model_validate(rule), tuning=tuning)


def multi(seed: int, labels: np.ndarray, **rule: object) -> Split:
    return protocol.draw(MULTI_RULE, MULTI_INFO, labels, seed, LabelRule.model_validate(rule))


@given(seed=st.integers(0, 2**31 - 1))
@settings(derandomize=True, max_examples=10, deadline=None)
def test_labels_a_class_and_shares_are_nested_in_one_another(seed: int) -> None:
    """1, 5, 10 a class and the shares 0.1 (4 a class), 0.5 (20), 1 (40) are one order a class."""
    rules = [{"per_class": 1}, {"fraction": 0.1}, {"per_class": 5}, {"per_class": 10}, {"fraction": 0.5}, {}]
    splits = [single(seed, **rule) for rule in rules]
    assert [len(split.labelled) for split in splits] == [10, 40, 50, 100, 200, 400]
    for less, more in itertools.pairwise(splits):
        assert set(less.labelled) < set(more.labelled)
    for split in splits:
        assert len(set(LABELS[split.labelled].sum(axis=0))) == 1
        assert np.array_equal(split.query, splits[0].query)
        assert np.array_equal(split.database, splits[0].database)
        assert len(split.labelled) + len(split.hidden) == split.training_images == 400


def test_dropped_images_are_not_handed_over_and_the_budget_stays() -> None:
    kept, dropped = single(0, fraction=0.1), single(0, fraction=0.1, hidden="dropped")
    assert len(dropped.hidden) == 0
    assert np.array_equal(dropped.dropped, kept.hidden)
    assert dropped.training_images == kept.training_images == single(0).training_images


def test_more_labels_than_training_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"41 labels a class: class '0' of protocol 't'.*trains on 40"):
        single(0, per_class=41)
    with pytest.raises(InputError, match="2 labelled images"):
        single(0, per_class=1, tuning=True)
    with pytest.raises(InputError, match="301 labels a class"):
        multi(0, multi_labels(), per_class=301)


# ---- multi-label -------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.001, 0.05, 0.1, 0.5, 1.0]))
@settings(derandomize=True, max_examples=15, deadline=None)
def test_every_label_is_covered_and_shares_are_nested(seed: int, share: float) -> None:
    labels = multi_labels(seed=seed)
    split, larger = multi(seed, labels, fraction=share), multi(seed, labels, fraction=min(1, 2 * share))
    train = np.concatenate([split.labelled, split.hidden])
    assert len(train) == len(set(train)) == 300
    assert set(split.labelled) <= set(larger.labelled)
    assert ((labels[split.labelled].sum(axis=0) > 0) == (labels[train].sum(axis=0) > 0)).all()
    assert len(split.labelled) <= max(round(share * 300), 10)


@given(seed=st.integers(0, 10_000))
@settings(derandomize=True, max_examples=10, deadline=None)
def test_so_many_images_of_each_label_where_possible(seed: int) -> None:
    labels = multi_labels(seed=seed)
    before: set[int] = set()
    for number in (1, 3, 10):
        split = multi(seed, labels, per_class=number)
        totals = labels[np.concatenate([split.labelled, split.hidden])].sum(axis=0)
        assert (labels[split.labelled].sum(axis=0) >= np.minimum(number, totals)).all()
        assert before <= set(split.labelled)
        before = set(split.labelled)
    assert len(before) <= 10 * 10


def test_a_share_keeps_the_labels_proportions() -> None:
    labels = multi_labels(3000)
    order, cover = greedy_order(labels)
    assert sorted(order) == list(range(3000))
    assert cover <= 10
    totals = labels.sum(axis=0)
    for size in (300, 1500):
        share = labels[order[:size]].sum(axis=0) / totals
        assert np.abs(share - size / 3000).max() < 0.05
    empty = (labels[order[:1500]].sum(axis=1) == 0).sum() / (labels.sum(axis=1) == 0).sum()
    assert abs(empty - 0.5) < 0.05


def test_a_large_set_has_an_order() -> None:
    """NUS-WIDE's training part: 10,000 images, 81 labels."""
    order, cover = greedy_order(np.random.default_rng(0).random((10_000, 81)) < 0.03)
    assert len(set(order.tolist())) == 10_000
    assert cover <= 81


# ---- noise -------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31 - 1), fraction=st.sampled_from([1.0, 0.5, 0.1]), tuning=st.booleans())
@settings(derandomize=True, max_examples=15, deadline=None)
def test_noise_is_exact_stratified_and_nested(seed: int, fraction: float, *, tuning: bool) -> None:
    before: dict[int, bytes] = {}
    for noise in (0.05, 0.2, 0.33, 0.9):
        split = single(seed, fraction=fraction, noise=noise, tuning=tuning)
        shown = np.sort(np.concatenate([split.labelled, split.tuning]))
        assert split.moved == len(split.changed) == round(noise * len(shown))
        assert set(split.changed) <= set(shown)
        assert (split.changed_labels.sum(axis=1) == 1).all()
        assert (split.changed_labels != LABELS[split.changed]).any(axis=1).all()
        per_class = LABELS[split.changed].sum(axis=0)
        assert per_class.max() - per_class.min() <= 1
        now = {
            int(row): wrong.tobytes() for row, wrong in zip(split.changed, split.changed_labels, strict=True)
        }
        assert before.items() <= now.items()  # the same images, with the same wrong label
        before = now


def test_what_training_is_told_and_what_is_scored() -> None:
    split = single(0, noise=0.5)
    truth = LABELS.copy()
    told = split.training_labels(LABELS, split.labelled)
    assert (told != LABELS[split.labelled]).any(axis=1).sum() == 200
    assert np.array_equal(split.training_labels(LABELS, split.query), LABELS[split.query])
    assert np.array_equal(LABELS, truth)
    assert np.array_equal(single(0).training_labels(LABELS, split.labelled), LABELS[split.labelled])


def test_symmetric_noise_reaches_every_other_class() -> None:
    found = np.zeros((10, 10), dtype=int)
    for seed in range(20):
        split = single(seed, noise=0.9)
        np.add.at(found, (LABELS[split.changed].argmax(axis=1), split.changed_labels.argmax(axis=1)), 1)
    assert (np.diag(found) == 0).all()
    off = found[~np.eye(10, dtype=bool)]
    assert off.min() > 50  # 80 are expected
    assert off.max() < 115


def test_class_conditional_noise_goes_to_the_partner() -> None:
    split = single(3, noise=0.3, noise_kind="class-conditional")
    before, after = LABELS[split.changed].argmax(axis=1), split.changed_labels.argmax(axis=1)
    assert (after == (before + 1) % 10).all()
    assert split.moved == 120
    published = single(3, info=CIFAR, noise=0.3, noise_kind="class-conditional")
    before, after = LABELS[published.changed].argmax(axis=1), published.changed_labels.argmax(axis=1)
    assert {(int(a), int(b)) for a, b in zip(before, after, strict=True)} == {
        (9, 1),
        (2, 0),
        (4, 7),
        (3, 5),
        (5, 3),
    }
    assert published.moved == round(0.3 * 5 * 40)  # of the five classes with a partner
    text = protocol.describe_noise(
        LabelRule(noise=0.3, noise_kind="class-conditional"), CIFAR, published.moved
    )
    assert "truck by automobile" in text
    assert "60 labels are wrong" in text


@pytest.mark.parametrize("kind", ["symmetric", "class-conditional"])
def test_multi_label_noise_moves_labels(kind: str) -> None:
    labels = multi_labels()
    labels[:20] = 1  # nothing to move them to
    before: set[int] = set()
    for noise in (0.1, 0.4):
        split = multi(1, labels, noise=noise, noise_kind=kind)
        told = split.training_labels(labels, split.labelled)
        true = labels[split.labelled]
        assert np.array_equal(told.sum(axis=1), true.sum(axis=1))
        assert ((true == 1) & (told == 0)).sum() == split.moved > 0
        room = np.minimum(true.sum(axis=1), 10 - true.sum(axis=1)).sum()
        assert split.moved == round(noise * room)
        assert before <= set(split.changed)
        before = set(split.changed)


# ---- unseen classes ----------------------------------------------------------------------------------


def test_a_class_split_confines_training_and_its_noise() -> None:
    seen = protocol.seen_classes(INFO, 2)
    assert len(seen) == 5
    assert sorted({*seen, *protocol.unseen_classes(INFO, 2)}) == list(range(10))
    assert not np.array_equal(seen, protocol.seen_classes(INFO, 1))
    rule = LabelRule(fraction=0.5, noise=0.4)
    split, whole = protocol.draw(RULE, INFO, LABELS, 0, rule, class_split=2), single(0, fraction=0.5)
    train = np.concatenate([split.labelled, split.hidden])
    assert set(LABELS[train].argmax(axis=1)) == set(seen)
    assert set(split.changed_labels.argmax(axis=1)) <= set(seen)
    assert set(split.labelled) <= set(whole.labelled)
    assert np.array_equal(split.query, whole.query)
    assert np.array_equal(split.database, whole.database)
    unseen = protocol.rows_of(split.query, LABELS, protocol.unseen_classes(INFO, 2))
    assert len(unseen) == 25


def test_images_with_labels_on_both_sides_are_on_neither() -> None:
    labels, seen = multi_labels(), protocol.seen_classes(MULTI_INFO, 0)
    split = protocol.draw(MULTI_RULE, MULTI_INFO, labels, 0, class_split=0)
    unseen = protocol.unseen_classes(MULTI_INFO, 0)
    assert len(split.labelled)
    assert labels[split.labelled][:, unseen].sum() == 0
    assert (labels[split.labelled].sum(axis=1) > 0).all()
    other = protocol.rows_of(split.database, labels, unseen)
    assert labels[other][:, seen].sum() == 0


def test_too_few_classes_for_a_class_split() -> None:
    three = INFO.model_copy(update={"classes": ("a", "b", "c")})
    with pytest.raises(InputError, match="4 classes or more; 'digits' has 3"):
        protocol.seen_classes(three, 0)
    four = INFO.model_copy(update={"classes": ("a", "b", "c", "d")})
    assert len(protocol.seen_classes(four, 0)) == len(protocol.unseen_classes(four, 0)) == 2
