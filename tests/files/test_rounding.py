"""Exported numbers have the digits that every processor agrees on, and are compared as numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.files.rounding import rounded, rounded_all, same_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.0075699654589670451, -0.007569965459),
        (-0.007569965458967103, -0.007569965459),
        (0.1 + 0.2, 0.3),
        (-0.0, 0.0),
        (3e-17, 0.0),
        (-3e-17, 0.0),
        (1e-5, 1e-5),
        (123456789012.5, 123456789000.0),
    ],
)
def test_ten_digits_and_twelve_decimals(value: float, expected: float) -> None:
    assert repr(rounded(value)) == repr(expected)


def test_what_is_no_number_stays_and_nested_values_are_reached() -> None:
    assert math.isnan(rounded(math.nan))
    assert rounded(math.inf) == math.inf
    assert rounded_all({"a": (1 / 3, [2 / 3, "x", 5, True, None])}) == {
        "a": [0.3333333333, [0.6666666667, "x", 5, True, None]]
    }


def test_another_order_of_summation_exports_the_same() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.random(1597)
        one, other = float(values.sum() / 1597), float(sum(values[::-1].tolist()) / 1597)
        assert same_text(f"map,{rounded(one)!r}\n", f"map,{rounded(other)!r}\n")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("map 0.98123456781,x", "map 0.98123456782,x", True),
        ("map 0.9887", "map 0.9888", False),
        ("map 0.98123456", "map 0.98123466", False),
        ("12 fits", "13 fits", False),
        ("a 0.5 b", "a 0.5 c", False),
        ("0.5 0.5", "0.5", False),
        ("torch 2.14.1", "torch 2.14.2", False),
        ("id 1e5a 0.5", "id 1e5b 0.5", False),
        ("It is 0.123456789012.", "It is 0.123456789013.", True),
        ("p 1e-05", "p 1.00000000001e-05", True),
        ("p 1e-05", "p 2e-05", False),
        ("p 0.0004997501", "p 0.0009995002", False),
        ("100000000000", "100000000001", False),
    ],
)
def test_texts_are_compared_number_by_number(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same
