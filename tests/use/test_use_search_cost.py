"""What search costs is measured on what it says, and shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.use.search_cost import Case, drawn, measure
from tests.helpers import execute

pytest.importorskip("faiss")
Cli = Callable[..., tuple[int, str, str]]


def test_every_way_is_measured_against_the_exact_one() -> None:
    found = measure(drawn(2000, 32, 40, 24), repeats=1)
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == len(found["rows"]) == 11
    assert all(rows[name]["recall"] == 1 for name in ("codes, flat", "vectors, flat"))
    assert rows["codes, flat"]["bytes"] == pytest.approx(4, abs=0.1)
    assert rows["vectors, flat"]["bytes"] == pytest.approx(96, abs=0.1)
    assert rows["vectors, 8-bit scalars"]["recall"] > 0.9
    assert rows["codes, 100 re-ranked by vectors"]["map"] > rows["codes, flat"]["map"]
    for row in rows.values():
        assert 0 <= row["recall"] <= 1
        assert 0 <= row["map"] <= 1
        assert min(row["per_second"], row["per_second_all"], row["per_second_deep"]) > 0
        assert row["bytes"] > 0


def test_ties_and_order_are_counted_as_stated() -> None:
    """Every code is the same: any ten are as near as the tenth. Precisions by hand."""
    codes, vectors = np.zeros((300, 1), np.uint8), np.arange(300, dtype=np.float32)[:, None]
    relevant = np.zeros((300, 2), np.uint8)
    relevant[[0, 2], 1] = 1
    relevant[[1, 3], 0] = 1
    queries = np.array([[0, 1]], np.uint8)
    case = Case(8, codes, codes[:1], vectors, vectors[:1], "made", relevant, queries)
    rows = {row["name"]: row for row in measure(case, repeats=1)["rows"]}
    assert rows["codes, flat"]["recall"] == rows["codes, HNSW"]["recall"] == 1
    assert rows["vectors, flat"]["map"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_fit_is_measured_and_reported(tmp_path: Path, run_cli: Cli) -> None:
    _, summary, _ = execute(tmp_path, methods=("itq",), bits=(16,))
    fit = summary.records[0].fit_id
    words = ("--results", str(tmp_path))
    code, out, err = run_cli("search-cost", fit[:8], *words, "--repeats", "1")
    assert code == 0, err
    assert "codes, HNSW" in out
    assert "vectors: the fit's outputs, 16 numbers" in out
    told = json.loads((tmp_path / "search-cost" / f"{fit}.json").read_text())
    assert told["items"] == 1597
    assert main(["report", *words, "--only", "search-cost", "--formats", "png"]) == 0
    assert "codes, HNSW" in (tmp_path / "report" / f"search-cost-{fit}.md").read_text()
    assert (tmp_path / "report" / f"search-cost-{fit}.png").stat().st_size > 5000
    for wrong, said in (((), "name a finished fit"), ((fit, "--items", "2000"), "name a finished fit")):
        code, _, err = run_cli("search-cost", *wrong, *words)
        assert (code, said in err) == (2, True)
