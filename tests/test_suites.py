from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import suites
from benchmark.errors import InputError
from benchmark.forecast import forecast
from benchmark.planning import plan
from benchmark.records import Store
from tests.helpers import execute, sweep


def written(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


def test_parts_come_over_the_suites_own_keys_and_flags_over_both(tmp_path: Path) -> None:
    text = 'title = "t"\nmethods = ["itq"]\nbits = [8]\n[[parts]]\nseeds = [4]\n[[parts]]\nbits = [16]\n'
    first, second = suites.resolve_all(written(tmp_path, "a", text), {"seeds": "7"})
    assert (first.bits, first.seeds, first.methods) == ((8,), (7,), ("itq",))
    assert (second.bits, second.seeds, second.title) == ((16,), (7,), "t")


def test_a_suite_of_suites_is_their_grids_in_order(tmp_path: Path) -> None:
    one = written(tmp_path, "one", "bits = [8]\n")
    two = written(tmp_path, "two", "[[parts]]\nbits = [16]\n[[parts]]\nbits = [32]\n")
    both = written(tmp_path, "both", f'title = "both"\ninclude = ["{one}", "{two}"]\n')
    assert [config.bits for config in suites.resolve_all(both, {})] == [(8,), (16,), (32,)]
    with pytest.raises(InputError, match="3 grids"):
        suites.resolve(both, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('include = ["paper-main"]\nbits = [8]\n', "takes only a title beside"),
        ("include = []\n", "include must list suites"),
        ('include = ["papr-main"]\n', "unknown suite 'papr-main'"),
        ("parts = 3\n", "parts must be tables"),
        ("[[parts]]\nbit = [8]\n", "part 1 key 'bit'"),
    ],
)
def test_mistakes_in_a_suite_of_several_grids_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        suites.resolve_all(written(tmp_path, "bad", text), {})


def test_a_suite_cannot_include_itself(tmp_path: Path) -> None:
    name = str(tmp_path / "loop.toml")
    written(tmp_path, "loop", f'include = ["{name}"]\n')
    with pytest.raises(InputError, match="includes itself"):
        suites.resolve_all(name, {})


def test_every_paper_suite_has_its_small_twin_and_paper_is_all_of_them() -> None:
    names = set(suites.names())
    large = {name for name in names if name.startswith("paper-") and not name.endswith("small")}
    assert {f"{name}-small" for name in large} <= names
    every = [config for name in sorted(large) for config in suites.resolve_all(name, {})]
    assert sorted(map(repr, suites.resolve_all("paper", {}))) == sorted(map(repr, every))


def test_the_forecast_counts_a_shared_fit_once_and_learns_from_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plans = [plan(sweep(bits=(8, 16)), store, None), plan(sweep(bits=(16, 32)), store, None)]
    (row,) = forecast(plans, store, {"digits": 1797})
    assert (row.dataset, row.fits, row.to_run, row.measured) == ("digits", 3, 3, 0)
    assert row.seconds > 0
    execute(tmp_path, bits=(8,), epochs=2)
    (after,) = forecast([plan(sweep(bits=(8,), epochs=20), store, None)], store, {"digits": 1797})
    (record,) = store.records()
    assert (after.fits, after.to_run, after.measured) == (1, 1, 1)
    expected = record.timings.total + 9 * record.timings.train
    assert after.seconds == pytest.approx(expected)
    plans = [plan(sweep(bits=(8,), epochs=2, views=("clean", "corruption:fog@1")), store, None)]
    assert plans[0].cells[0].extend
    (views,) = forecast(plans, store, {"digits": 1797})
    assert (views.fits, views.to_run, views.seconds) == (1, 0, 0)
