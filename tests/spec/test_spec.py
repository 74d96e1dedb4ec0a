from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import InputError
from benchmark.spec import FitSpec, Sweep, canonical_json, digest, parse, seed_stream

SPEC = FitSpec(
    method="hashnet",
    method_version=1,
    params={"lr": 0.001},
    dataset="digits",
    fingerprint="0123456789abcdef",
    protocol="digits-20-50",
    protocol_version=1,
    backbone="compact",
    weights="none",
    bits=32,
    label_fraction=1.0,
    seed=0,
    epochs=45,
    batch_size=64,
)


def test_fit_id_is_pinned() -> None:
    """Identity must not drift: another id would orphan every stored result."""
    assert SPEC.fit_id == "d377c63b582bf7ed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bits", 16),
        ("seed", 1),
        ("method_version", 2),
        ("params", {"lr": 0.002}),
        ("fingerprint", "f" * 16),
        ("label_fraction", 0.5),
        ("epochs", 44),
        ("selection", "val"),
        ("precision", "bf16"),
        ("weights", "imagenet"),
    ],
)
def test_whatever_decides_a_number_changes_its_id(field: str, value: object) -> None:
    assert SPEC.model_copy(update={field: value}).fit_id != SPEC.fit_id


def test_canonical_json_ignores_order_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == canonical_json({"a": [1.5, None], "b": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_seed_streams_are_pinned_and_named() -> None:
    assert seed_stream("split", "digits", 0, 3) == 8165855087009058168
    assert seed_stream("a", 1) != seed_stream("a", "1")
    assert seed_stream("ab") != seed_stream("a", "b")


@given(st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=4))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_seeds_fit_every_generator(parts: list[int | str]) -> None:
    assert 0 <= seed_stream(*parts) < 2**63


def test_cells_keep_a_data_set_together() -> None:
    sweep = Sweep(datasets=("a", "b"), methods=("m", "n"), bits=(8, 16), seeds=(0, 1))
    cells = list(sweep.points())
    assert len(cells) == len(set(cells)) == 16
    assert [cell.dataset for cell in cells] == ["a"] * 8 + ["b"] * 8


def test_repeats_count_once() -> None:
    assert Sweep(bits=(16, 16, 32)).bits == (16, 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bits": [-4]}, "bits"),
        ({"bits": []}, "at least one"),
        ({"seeds": [-1]}, "seeds"),
        ({"label_fractions": [0]}, "label_fractions"),
        ({"label_fractions": [1.5]}, "label_fractions"),
        ({"selection": "best"}, "selection"),
        ({"methods": ["../x"]}, "methods"),
        ({"epochs": 0}, "epochs"),
        ({"bts": [16]}, "did you mean bits"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(Sweep, values, "run")
    assert "\n" not in str(caught.value)


def test_digest_length() -> None:
    assert len(digest({}, 12)) == 12
