"""Conventions with an unstable sort: their mean and extremes over all orders inside ties, by enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.metrics import Rules
from benchmark.scoring.convention_table import CONVENTIONS
from benchmark.scoring.conventions import score_conventions
from benchmark.scoring.dense import has_zeros
from benchmark.scoring.tie_orders import _three, tie_orders
from tests.scoring.test_scoring_conventions import CASES, make

OPEN = [one for one in CONVENTIONS.values() if one.open_ties]


def precision(hits: tuple[int, ...]) -> float:
    """Average precision of a list, divided by the hits in it; 0 without one."""
    found = [sum(hits[: at + 1]) / (at + 1) for at, hit in enumerate(hits) if hit]
    return sum(found) / len(found) if found else 0.0


def enumerated(groups: list[tuple[int, int]], kept: int) -> list[float]:
    """Average precision of the first `kept` of every order; groups: (not relevant, relevant), nearest first."""
    items = [[0] * misses + [1] * hits for misses, hits in groups]
    orders = itertools.product(*(list(itertools.permutations(one)) for one in items))
    return [precision(tuple(itertools.chain(*order))[:kept]) for order in orders]


@pytest.mark.parametrize("seed", range(12))
def test_mean_and_extremes_are_those_of_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [(int(rng.integers(0, 3)), int(rng.integers(0, 3))) for _ in range(3)]
    cells = np.array(groups, dtype=np.int64)
    for kept in range(1, int(cells.sum()) + 1):
        values = enumerated(groups, kept)
        found = _three(cells, kept, True)
        assert found == pytest.approx((np.mean(values), min(values), max(values)), abs=1e-12), (groups, kept)
        hit = [value for value in values if value]
        expected = (np.mean(hit), min(hit), max(hit)) if hit else (np.nan,) * 3
        assert _three(cells, kept, False) == pytest.approx(expected, abs=1e-12, nan_ok=True), (groups, kept)


def test_one_more_hit_can_lower_the_value() -> None:
    """What is divided by counts the hits inside, so the best order need not take most of them."""
    cells = np.array([[0, 1], [8, 0], [1, 1]])
    _, low, high = _three(cells, 10, True)
    assert (low, high) == pytest.approx(((1 + 2 / 10) / 2, 1.0))


@pytest.mark.processor
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [None, 7, 40])
def test_what_this_processor_gives_lies_between(k: int | None, case: str) -> None:
    codes = make(case)
    rules = Rules(k=k)
    orders, literal = tie_orders(OPEN, codes, rules), score_conventions(OPEN, codes, rules)
    assert (
        set(orders)
        == {one.name for one in OPEN}
        == {
            *(
                "deephash-pytorch",
                "deephash-pytorch-intended",
                "hashnet-pytorch",
                "deephash-tf",
                "single-loss",
                "csq",
            )
        }
    )
    for name, (mean, low, high) in orders.items():
        values = literal[name]
        assert isinstance(values, np.ndarray)
        known = ~np.isnan(values) & ~np.isnan(mean)
        assert known.any()
        assert (low[known] <= values[known] + 1e-9).all(), name
        assert (values[known] <= high[known] + 1e-9).all(), name
        assert (low[known] <= mean[known] + 1e-9).all()
        assert (mean[known] <= high[known] + 1e-9).all()
        assert np.nanmax(high - low) > 0.01, "there are ties"


@pytest.mark.parametrize("case", ["plain", "zeros"])
def test_a_sign_of_zero_is_drawn_where_there_is_one(case: str) -> None:
    """Codes without a value on the threshold are one under either rule; a rule that needs outputs still does."""
    codes = replace(make(case), outputs=None)
    drawn, kept = CONVENTIONS["deephash-tf"], CONVENTIONS["hashnet-pytorch"]
    found = tie_orders([drawn, kept], codes, Rules())
    assert (has_zeros(codes), np.array_equal(found[drawn.name], found[kept.name], equal_nan=True)) == (
        case == "zeros",
        case != "zeros",
    )
    with pytest.raises(InputError, match="needs real-valued outputs"):
        tie_orders([drawn, replace(drawn, name="own", sign="centred")], codes, Rules())
