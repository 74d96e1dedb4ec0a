"""The report's first words: who won, by how much, and how sure that is."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmark.report.artifacts import main_table
from benchmark.report.context import Context
from benchmark.report.figures.panels import reach
from benchmark.report.figures.style import drawing
from benchmark.report.page.headline import Headline, headlines
from benchmark.store.record import Artifacts, Record
from benchmark.store.store import Store
from tests.report.test_report import made
from tests.report.test_report_claims import coded


def headline(root: Path, sides: list[tuple[Record, Artifacts]]) -> Headline:
    store = Store(root)
    for record, artifacts in sides:
        store.save(record.model_copy(update={"fit_id": record.spec.fit_id}), artifacts)
    (found,) = headlines(Context(store, store.records(), set()))
    return found


@pytest.mark.parametrize(
    ("seeds", "rival", "sure"),
    [
        (5, 0.9, "5 seeds: more than chance among seeds explains (p<0.001, adjusted for 1 rival)."),
        (3, 0.201, "3 seeds: the two are not told apart"),
        (2, 0.9, "from 2 seeds: too few to decide."),
        (1, 0.9, "One seed: another training may turn it round"),
    ],
)
def test_the_winner_its_margin_and_how_sure(tmp_path: Path, seeds: int, rival: float, sure: str) -> None:
    wrong = {"coophash": 0.2, "hashnet": rival}
    found = headline(tmp_path, [coded(m, s, w) for s in range(seeds) for m, w in wrong.items()])
    lead = rival - 0.2
    assert found.winner == (
        f"CoopHash has the highest mAP: 0.8000, {lead:.4f} above HashNet ({1 - rival:.4f})."
    )
    assert sure in found.sure
    assert f"2 methods at 32 bits, {seeds} seed{'s' if seeds > 1 else ''}." in found.compared


def test_the_bold_p_of_the_table_is_that_of_the_headline(tmp_path: Path) -> None:
    """One code length, two rivals: one test, adjusted alike, in both places; one seed gives none in either."""
    wrong = {"coophash": 0.2, "hashnet": 0.23, "csq": 0.5}
    first = headline(tmp_path, [coded(m, s, w) for s in range(3) for m, w in wrong.items()])
    ctx = Context(store := Store(tmp_path), store.records(), set())
    (best,) = [cell for row in main_table.build(ctx).sheets[0].rows for cell in row if cell.mark == "best"]
    assert best.p is not None
    assert 0.001 < best.p < 1
    assert f"({best.aside}, adjusted for 2 rivals)" in first.sure
    ctx = Context(store, [r for r in store.records() if r.spec.seed == 0], set())
    sheet = main_table.build(ctx).sheets[0]
    (best,) = [cell for row in sheet.rows for cell in row if cell.mark == "best"]
    assert (best.p, best.aside) == (None, "")
    assert any("coophash over hashnet: +" in note and "–, p=–, 1 seed x" in note for note in sheet.notes)


def test_no_codes_and_no_rival_are_said(tmp_path: Path) -> None:
    alone = headline(tmp_path / "one", [(made(0.5), Artifacts())])
    assert (alone.winner, "nothing to compare" in alone.sure) == ("", True)
    both = [(made(0.5), Artifacts()), (made(0.75, method="csq"), Artifacts())]
    found = headline(tmp_path / "two", both)
    assert found.winner == "CSQ has the highest mAP: 0.7500, 0.2500 above HashNet (0.5000)."
    assert "no common seeds with stored codes" in found.sure


def test_the_main_figure_draws_means_and_intervals(tmp_path: Path) -> None:
    records = [made(0.5 + seed / 10, bits=bits, seed=seed) for bits in (16, 32) for seed in range(3)]
    drawn = main_table.build(Context(Store(tmp_path), records, set()))
    (figure,) = drawn.figures
    with drawing():
        (axes,) = figure.draw().axes
        (line,) = axes.lines
        assert line.get_ydata().tolist() == pytest.approx([0.6, 0.6])
        (low, high) = axes.collections[0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 4.302653 * 0.1 / 3**0.5, rel=1e-5)
    assert reach([0.5]) is None
    with drawing():
        (one,) = main_table.build(Context(Store(tmp_path), records[:3], set())).figures
        (line,) = one.draw().axes[0].lines
    assert line.get_xdata().tolist() == pytest.approx([statistics.fmean([0.5, 0.6, 0.7])])
