"""The report's first words: who won, by how much, and how sure that is."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest

from benchmark.report.artifacts import cost, main_table
from benchmark.report.context import Context
from benchmark.report.figures.panels import reach
from benchmark.report.figures.style import drawing
from benchmark.report.page.headline import Headline, headlines, unfinished
from benchmark.report.tables.cells import in_order
from benchmark.spec import Sweep
from benchmark.store.record import Artifacts, Record
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from benchmark.sweep.saved import save_sweep
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
    assert any("CoopHash over HashNet: +" in note and "–, p=–, 1 seed x" in note for note in sheet.notes)


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


def test_equal_scores_are_no_win(tmp_path: Path) -> None:
    found = headline(tmp_path, [(made(0.75, method=one), Artifacts()) for one in ("csq", "hashnet", "itq")])
    assert found.winner == "CSQ, HashNet and ITQ share the highest mAP: 0.7500."


def test_an_interrupted_sweep_says_what_is_not_ranked(tmp_path: Path) -> None:
    """A method that lacks a length is named; where none has all of them, those are ranked that all share."""
    both = [(made(0.5, method=one, bits=bits), Artifacts()) for one in ("csq", "itq") for bits in (16, 32)]
    part = headline(tmp_path / "part", [*both, (made(0.9, bits=16), Artifacts())])
    assert part.winner.startswith("CSQ and ITQ share")
    assert part.compared.endswith("1 seed. Not ranked, for want of a score at every code length: HashNet.")
    bad = headline(tmp_path / "bad", [*both, (made(None, bits=16), Artifacts())])
    assert bad.compared.endswith("2 methods at 16, 32 bits, 1 seed. Failed: HashNet.")
    broken = headline(tmp_path / "broken", [*both[:3], (made(0.9, bits=16), Artifacts())])
    assert broken.winner == "HashNet has the highest mAP: 0.9000, 0.4000 above CSQ (0.5000)."
    assert broken.compared.endswith("Ranked at 16 bits, which all have.")
    apart = headline(tmp_path / "apart", [both[0], both[3]])
    assert (apart.winner, apart.sure) == ("", "No code length is common to all methods: nothing to rank.")


def test_seeds_and_configurations_are_counted_as_they_are(tmp_path: Path) -> None:
    given = {"lr": 0.005}
    sides = [made(0.5), made(0.6, seed=1), made(0.7, method="csq"), made(0.8, params=given)]
    found = headline(tmp_path, [(one, Artifacts()) for one in sides])
    assert "3 configurations of 2 methods at 32 bits, 1 to 2 seeds." in found.compared


def test_the_bold_of_a_table_needs_seeds_and_a_lead_on_them(tmp_path: Path) -> None:
    """Two seeds decide nothing, however far apart; the best mean is not bold by a test that it loses."""
    store = Store(tmp_path)
    for seed, method, wrong in [
        (s, m, w) for s in range(5) for m, w in (("coophash", 0.5), ("hashnet", 0.2))
    ]:
        record, artifacts = coded(method, seed, wrong)
        store.save(record.model_copy(update={"fit_id": record.spec.fit_id}), artifacts)

    def best(records: list[Record]) -> tuple[str, bool, str]:
        sheet = main_table.build(Context(store, records, set())).sheets[0]
        ((name, cell),) = [(row[0].text, row[1]) for row in sheet.rows if row[1].mark == "best"]
        return name, cell.sure, cell.aside

    every = list(store.records())
    assert best(every) == ("hashnet", True, "p<0.001")
    assert best([r for r in every if r.spec.seed < 2])[:2] == ("hashnet", False)
    high = {"scores": made(1.0).scores}  # of all its seeds; its codes say that it is behind on each
    lucky = [r.model_copy(update=high) if r.spec.method == "coophash" else r for r in every]
    assert best(lucky) == ("coophash", False, "")


def test_the_interval_of_a_winner_is_adjusted_as_its_p_is(tmp_path: Path) -> None:
    """It leaves 0 out where the p-value is below 0.05: unadjusted, it would do so here, and p would not."""
    ctx = Context(Store(tmp_path), [], set())
    rng = np.random.default_rng(0)
    sides = [
        [coded("hashnet", seed, 0.3)[0] for seed in range(5)],
        [coded("csq", s, 0.3)[0] for s in range(5)],
    ]
    drawn = {record.fit_id: rng.normal(0.5, 0.05, 50) for side in sides for record in side}
    for seed, record in enumerate(sides[0]):
        drawn[record.fit_id] = drawn[sides[1][seed].fit_id] + rng.normal(0.02 + 0.01 * (seed - 2), 0.001, 50)
    ctx.queries._found = {fit: (np.arange(50), values) for fit, values in drawn.items()}
    alone, among = (ctx.queries.compare(sides[0], sides[1], rivals) for rivals in (1, 20))
    assert alone is not None
    assert among is not None
    assert (alone.low > 0, alone.p < 0.05) == (True, True)
    assert (among.low > 0, among.p < 0.05) == (False, False)
    assert among.p == pytest.approx(20 * alone.p)


def test_a_folder_of_failures_says_so_and_draws_nothing(tmp_path: Path) -> None:
    found = headline(tmp_path, [(made(None), Artifacts()), (made(None, method="csq"), Artifacts())])
    assert (found.winner, found.sure) == ("", "No fit has an mAP: 2 of 2 fits failed.")
    drawn = main_table.build(Context(store := Store(tmp_path), store.records(), set()))
    assert (len(drawn.sheets), drawn.figures) == (1, ())
    assert "one seed: 0" in drawn.sheets[0].notes


def test_a_score_chosen_on_the_test_queries_is_called_that_and_no_group_is_lost(tmp_path: Path) -> None:
    store = Store(tmp_path)
    records = [made(0.5, epochs=number, selection="peek") for number in range(1, 7)]
    found = headlines(Context(store, records, set()))
    assert len(found) == 5
    assert all("chosen on the test queries" in one.compared for one in found[:4])
    assert found[4] == Headline("", "", "2 more comparisons in the tables.")


def test_a_sweep_that_was_interrupted_is_not_shown_as_whole(tmp_path: Path) -> None:
    from benchmark.report.write import render

    store, sweep = Store(tmp_path), Sweep(methods=("itq", "lsh"), bits=(16, 32))
    wanted = planning.plan(sweep, store, None)
    save_sweep(wanted, store)
    first, *left = [planned.fit for planned in wanted.fits if planned.fit is not None]
    record = made(0.5).model_copy(update={"spec": first, "fit_id": first.fit_id})
    store.save(record, Artifacts())
    said = "Not whole: 3 planned fits without a record (ITQ, LSH); the command status lists them."
    assert unfinished(Context(store, [record], set())) == said
    render(tmp_path, tmp_path / "report", "table1", formats=("png",))
    for name in ("report.md", "report.html"):
        assert said in (tmp_path / "report" / name).read_text()
    for spec in left:
        store.save(record.model_copy(update={"spec": spec, "fit_id": spec.fit_id}), Artifacts())
    assert unfinished(Context(store, store.records(), set())) == ""


def test_a_folder_of_few_labels_alone_begins_with_the_most_of_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for few, better in ((0.1, 0.0), (0.5, 0.2)):
        for method, value in (("csq", 0.4), ("hashnet", 0.5)):
            record = made(value + better, method=method, label_fraction=few)
            assert record.protocol is not None
            facts = record.protocol.model_copy(update={"labelled": round(500 * few)})
            store.save(record.model_copy(update={"protocol": facts}), Artifacts())
    first, second = headlines(Context(store, store.records(), set()))
    assert "0.5 of the labels: 2 methods" in first.compared
    assert first.winner.startswith("HashNet has the highest mAP: 0.7000")
    assert "0.1 of the labels" in second.compared


def test_finished_fits_without_an_map_have_their_costs_told(tmp_path: Path) -> None:
    """The order of the rows and the axes of the figure are by columns that are always there."""
    records = [made(0.5, method=one).model_copy(update={"scores": ()}) for one in ("csq", "itq")]
    (sheet,) = (drawn := cost.build(Context(Store(tmp_path), records, set()))).sheets
    assert sheet.head[:3] == ("method", "mAP", "train s")
    assert in_order(sheet).rows
    assert drawn.figures == ()


def unseen(method: str, seed: int, split: int, value: float) -> tuple[Record, Artifacts]:
    """A fit that was trained on some classes; clean, on all of them, it would be ranked the other way round."""
    return coded(method, seed, value, {"unseen-classes": value}, class_split=split)


def test_a_folder_of_class_splits_alone_says_who_won_on_unseen_classes(tmp_path: Path) -> None:
    scores = {"csq": 0.6, "hashnet": 0.4, "itq": 0.1}
    sides = [
        unseen(name, seed, split, value + split / 50 + seed * (1 + place) / 1000)
        for place, (name, value) in enumerate(scores.items())
        for seed in range(3)
        for split in range(2)
    ]
    found = headline(tmp_path, sides)
    assert found.compared.endswith("3 methods at 32 bits, 2 class splits, 3 seeds.")
    assert found.winner == "CSQ has the highest mAP on unseen classes: 0.6110, 0.1990 above HashNet (0.4120)."
    assert "the lead is +0.1990, 95 % interval of the best of 3 [" in found.sure
    assert "3 seeds: more than chance among seeds explains (p<0.001, adjusted for 2 rivals" in found.sure


def test_a_method_that_lacks_a_class_split_is_not_ranked_with_the_others(tmp_path: Path) -> None:
    """Some splits are harder than others: the mean over fewer would be of something else."""
    sides = [unseen(name, 0, split, 0.5 - split / 10) for name in ("csq", "itq") for split in range(3)]
    found = headline(tmp_path / "some", [*sides, unseen("hashnet", 0, 0, 0.9)])
    assert found.winner.startswith("CSQ and ITQ share the highest mAP on unseen classes: 0.4000")
    assert "Not ranked, for want of a score at every code length and class split: HashNet." in found.compared
    found = headline(tmp_path / "two", [*sides[:3], unseen("hashnet", 0, 0, 0.9)])
    assert found.winner.startswith("HashNet has the highest mAP on unseen classes: 0.9000")
    assert "Ranked at 32 bits, class splits 0, which all have." in found.compared
    assert found.sure.startswith("One seed")


def test_the_page_of_class_splits_alone_begins_with_their_table(tmp_path: Path) -> None:
    from benchmark.report.write import render

    store = Store(tmp_path)
    for name in ("coophash", "csq", "hashnet"):
        for seed in range(3):
            record, artifacts = unseen(name, seed, 0, 0.3 + seed / 10 + len(name) / 100)
            store.save(record.model_copy(update={"fit_id": record.spec.fit_id}), artifacts)
    render(tmp_path, tmp_path / "report", "table1,claims,ood", formats=("png",))
    page = (tmp_path / "report" / "report.html").read_text()
    words = page[page.index("<main") :]
    places = [
        words.index(text) for text in ('class="winner"', 'class="pair"', "unseen-classes mAP", 'id="claims"')
    ]
    assert places == sorted(places)
    assert "clean mAP" not in words[: places[3]]
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.index("## Out-of-distribution retrieval") < text.index("## The paper's claims")
    assert "coophash" in (tmp_path / "report" / "main.csv").read_text()
