"""The table that a run ends with, on terminals of every width: names and numbers are never cut."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from benchmark.report.run_summary import summary
from benchmark.store.record import Failure, Record, Score, Timings
from tests.helpers import one_spec

WIDTHS = (10, 20, 30, 40, 50, 60, 70, 80, 100, 120, 200)


def made(
    method: str, value: float | None, *, seed: int = 0, dataset: str = "digits", **changes: Any
) -> Record:
    spec = one_spec(methods=("hashnet",)).model_copy(
        update={"method": method, "seed": seed, "dataset": dataset, **changes}
    )
    failure = (
        None if value is not None else Failure(kind="error", message="it broke for a reason", traceback="")
    )
    return Record.model_construct(
        fit_id=spec.fit_id,
        spec=spec,
        state="done" if failure is None else "failed",
        scores=() if value is None else (Score(view="clean", metric="map", value=value),),
        timings=Timings(train=1234.5, encode_images_per_second=98765.0),
        flags=(),
        failure=failure,
    )


RECORDS = [
    made("hashnet", 0.12344, seed=0),
    made("hashnet", 0.98766, seed=1),
    made("csq", 0.5, label_fraction=0.1),
    made("csq", 0.25),
    made("a-method-with-a-very-long-name-indeed", 0.75, dataset="a-data-set-with-a-long-name"),
    made("broken", None),
]


def printed(records: list[Record], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    for part in summary(records, width):
        console.print(part)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_stand_whole_at_every_width(width: int) -> None:
    text = printed(RECORDS, width)
    assert all(len(line) <= width for line in text.splitlines())
    for number in ("0.5555", "0.5000", "0.2500", "0.7500"):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text), text
    assert "…" not in text
    assert "..." not in text
    assert "itbroke" in re.sub(r"\s", "", text)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_rows_can_be_told_apart(width: int) -> None:
    text = printed([record for record in RECORDS if len(record.spec.method) < 20], width)
    rows = [line for line in text.splitlines() if "csq" in line and "0." in line]
    assert len({re.sub(r"0\.5000|0\.2500", "", row) for row in rows}) == 2, text


def test_only_seeds_and_class_splits_are_averaged_over() -> None:
    """A fit that differs in anything else, an axis that is new included, has a row of its own."""
    same = [made("hashnet", 0.25), made("hashnet", 0.75, seed=1), made("hashnet", 0.5, seed=2)]
    others = [made("hashnet", 0.125, batch_size=7), made("hashnet", 0.625, head="mlp:3")]
    text = printed([*same, *others], 120)
    assert all(number in text for number in ("0.5000", "0.1250", "0.6250")), text
    unseen = [made("hashnet", None, class_split=number) for number in range(3)]
    assert "0/3" in printed(unseen, 120)


def test_what_had_no_room_is_named() -> None:
    few = RECORDS[:2]
    assert "no room" not in printed(few, 120)
    assert "98,765" in printed(few, 120)
    narrow = re.sub(r"\s+", " ", printed(few, 40)).partition("no room for")[2]
    assert "sd" in narrow
    assert "encode img/s" in narrow


def test_wide_letters_count_twice() -> None:
    text = printed([made("hashnet", 0.125), made("数字" * 8, 0.5)], 50)
    assert "0.1250" in text
    assert "0.5000" in text
