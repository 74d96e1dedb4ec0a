"""Bootstrap intervals cover, and the paired test is symmetric and exact for few queries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.scoring.uncertainty import bootstrap, paired

pytestmark = pytest.mark.processor


def test_intervals_cover_a_known_mean():
    rng = np.random.default_rng(0)
    columns = {str(i): rng.beta(2, 3, 200) for i in range(400)}
    found = bootstrap(columns, resamples=400, seed=1, confidence=0.9)
    covered = np.mean([low <= 0.4 <= high for low, high in found.values()])
    assert 0.85 <= covered <= 0.95
    widths = np.mean([high - low for low, high in found.values()])
    assert widths == pytest.approx(2 * 1.645 * 0.2 / np.sqrt(200), rel=0.05)


def test_intervals_are_seeded_and_skip_nan():
    column = np.array([0.1, np.nan, 0.7, 0.4, np.nan])
    first = bootstrap({"a": column, "b": column}, resamples=300, seed=4)
    assert first["a"] == first["b"] == bootstrap({"a": column}, resamples=300, seed=4)["a"]
    many = np.random.default_rng(0).random(50)
    assert bootstrap({"a": many}, resamples=300, seed=4) != bootstrap({"a": many}, resamples=300, seed=5)
    assert 0.1 <= first["a"][0] < 0.4 < first["a"][1] <= 0.7
    assert np.isnan(bootstrap({"a": np.full(3, np.nan)})["a"]).all()
    assert bootstrap({"a": np.full(3, 0.5)})["a"] == (0.5, 0.5)


def test_the_paired_test_is_symmetric():
    rng = np.random.default_rng(0)
    first, second = rng.random(50), rng.random(50)
    one, other = paired(first, second, resamples=2000), paired(second, first, resamples=2000)
    assert one.p_value == other.p_value
    assert one.difference == -other.difference
    assert (one.better, one.worse) == (other.worse, other.better)
    assert one.low <= one.difference <= one.high


def test_few_queries_are_enumerated():
    first, second = np.array([0.9, 0.8, 0.5, 0.3, 0.3]), np.array([0.1, 0.3, 0.6, 0.1, 0.3])
    found = paired(first, second)
    change = first - second
    sums = [abs(np.dot(signs, change)) for signs in itertools.product([-1, 1], repeat=5)]
    assert found.p_value == pytest.approx(np.mean([value >= abs(change.sum()) - 1e-12 for value in sums]))
    assert (found.better, found.equal, found.worse) == (3, 1, 1)


def test_p_values_are_level_without_a_difference_and_small_with_one():
    rng = np.random.default_rng(0)
    values = [paired(rng.random(40), rng.random(40), resamples=200, seed=i).p_value for i in range(200)]
    assert 0.02 <= np.mean(np.array(values) <= 0.1) <= 0.18
    base = rng.random(200)
    assert paired(
        base + 0.05, base + 0.01 * rng.standard_normal(200), resamples=999
    ).p_value == pytest.approx(0.001)
    assert paired(base, base).p_value == 1.0


def test_skipped_queries_and_bad_input():
    found = paired(np.array([0.5, np.nan, 0.2]), np.array([0.4, 0.1, np.nan]))
    assert (found.skipped, found.better) == (2, 1)
    none = paired(np.array([np.nan]), np.array([0.1]))
    assert none.as_dict()["p_value"] is None
    with pytest.raises(InputError, match="2 and 3 queries"):
        paired(np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match="confidence is 1"):
        bootstrap({"a": np.zeros(2)}, confidence=1)
    with pytest.raises(InputError, match="resamples is 0"):
        bootstrap({"a": np.zeros(2)}, resamples=0)
