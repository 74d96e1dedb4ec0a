"""Methods stand in order of score: in every table, and in every figure's legend, panels or rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.artifact import choose
from benchmark.report.artifacts.search_cost import _figure as search_figure
from benchmark.report.context import Context
from benchmark.report.declared_methods import titled
from benchmark.report.figures.style import drawing
from benchmark.report.tables.cells import Drawn, Sheet, in_order, shown_head, shown_text
from benchmark.spec.corruptions import COMMON
from benchmark.store.record import Artifacts, CurvePoint, Record, Score, Timings
from benchmark.store.store import Store
from tests.report.test_report import made
from tests.report.test_report_claims import coded

#: The best first: neither by name nor by title, and not turned round either.
WRONG = {"greedyhash": 0.1, "csq": 0.3, "coophash": 0.4, "hashnet": 0.5, "dpsh": 0.7}
#: Worse than the whole, and better, not by name.
PARTS = {"coophash-vae": 0.2, "coophash-nll": 0.6, "coophash-class": 0.9}
BEST = [titled(name) for name in WRONG]


def fits(method: str, wrong: float) -> Iterable[tuple[Record, Artifacts]]:
    """A method at full labels, at few, with its epoch chosen otherwise, and on unseen classes."""
    views = {f"corruption:{name}@3": 0.9 - wrong for name in COMMON}
    for changes in ({}, {"label_fraction": 0.1}, {"selection": "peek"}, {"class_split": 0}, {"bits": 16}):
        seen = {"unseen-classes": 0.8 - wrong} if "class_split" in changes else views
        record, artifacts = coded(method, 0, wrong, seen, **changes)
        curve = tuple(CurvePoint(step=step, seconds=1.0, map=1 - wrong, part="query") for step in (1, 2))
        yield record.model_copy(update={"timings": Timings(train=9.0), "curve": curve}), artifacts


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> Context:
    store = Store(tmp_path_factory.mktemp("runs"))
    for method, wrong in (WRONG | PARTS).items():
        for record, artifacts in fits(method, wrong):
            store.save(record.model_copy(update={"fit_id": record.spec.fit_id}), artifacts)
    return Context(store, store.records(), set())


def named(texts: Iterable[str]) -> list[str]:
    """The methods among some words, each once; lines of one title joined."""
    words = (" ".join(text.split()) for text in texts)
    return list(dict.fromkeys(word.split(" (")[0] for word in words if word.split(" (")[0] in BEST))


def told(sheet: Sheet) -> list[list[str]]:
    """The orders in which a table names methods: down its rows, and across its heads."""
    shown = in_order(sheet)
    rows = [shown_text(shown, row, place) for row in shown.rows for place in range(shown.keys)]
    return [named(rows), named(shown_head(shown))]


def seen(figure: Any) -> list[list[str]]:
    """The orders in which a figure names methods: legends, rows, columns, panels."""
    found = [named(text.get_text() for text in legend.get_texts()) for legend in figure.legends]
    for axes in figure.axes:
        ticks = [text.get_text() for text in axes.get_yticklabels()]
        found += [named(ticks), named(text.get_text() for text in axes.get_xticklabels())]
    return [*found, named(axes.get_title() for axes in figure.axes)]


LOOKED_AT = {
    *(
        "table1",
        "cost",
        "ood",
        "corruption",
        "selection",
        "curves",
        "precision-recall",
        "conventions",
        "scarcity",
    ),
    "tsne",
}


# Hyper-parameters are looked up, over all data sets: by name. Parts stand below their whole.
@pytest.mark.parametrize("name", sorted({one.name for one in choose(None)} - {"ablation", "parameters"}))
def test_methods_stand_in_order_of_score(name: str, ctx: Context) -> None:
    drawn: Drawn = choose(name)[0].build(ctx)
    sheets = [*drawn.sheets, *(figure.data for figure in drawn.figures if figure.data is not None)]
    orders = [order for sheet in sheets for order in told(sheet)]
    with drawing():
        orders += [order for figure in drawn.figures for order in seen(figure.draw())]
    orders = [order for order in orders if len(order) > 1]
    assert all(order == [one for one in BEST if one in order] for order in orders), orders
    assert orders or name not in LOOKED_AT


def test_the_whole_comes_first_and_then_its_parts_by_score(ctx: Context) -> None:
    whole = ["coophash", *PARTS]
    drawn = choose("ablation")[0].build(ctx)
    assert [[row[0].text for row in sheet.rows] for sheet in drawn.sheets[:2]] == [whole, whole]
    with drawing():
        ticks = drawn.figures[0].draw().axes[0].get_yticklabels()
    assert [" ".join(text.get_text().split()) for text in ticks] == [*map(titled, whole)]


def test_indexes_stand_in_order_of_score() -> None:
    row = {"space": "codes", "bytes": 8, "per_second": 1e3, "per_second_deep": 1e3, "recall": 0.5}
    rows = [{**row, "name": name, "map": score} for name, score in (("a", 0.2), ("b", 0.9), ("c", 0.4))]
    facts = {"fit_id": "f", "label": "l", "items": 9, "processor": "p", "rows": rows}
    with drawing():
        (legend,) = search_figure(facts).draw().legends
    assert [text.get_text() for text in legend.get_texts()] == ["b", "c", "a"]


def test_codes_of_different_seeds_are_said_to_be(tmp_path: Path) -> None:
    """Each method's lowest seed stands for it: the pictures and tables of codes name all of them."""
    store = Store(tmp_path)
    for method, seed in (("csq", 3), ("hashnet", 1)):
        record, artifacts = coded(method, seed, 0.3)
        store.save(record.model_copy(update={"fit_id": record.spec.fit_id}), artifacts)
    both = Context(store, store.records(), set())
    assert ", seed 1, 3." in choose("precision-recall")[0].build(both).figures[0].caption
    assert ", seed 1, 3, 32 bits" in choose("conventions")[0].build(both).sheets[0].notes[0]


def test_a_figure_of_views_stands_in_the_order_of_what_it_shows(tmp_path: Path) -> None:
    """The table has the clean scores too, and is read by them."""
    records = []
    for method, clean, away in (("csq", 0.9, 0.3), ("hashnet", 0.8, 0.5), ("dpsh", 0.7, 0.4)):
        scores = (Score(view="unseen-classes", metric="map", value=away),)
        records += [made(clean, method=method), made(0.1, method=method, class_split=0)]
        records[-1] = records[-1].model_copy(update={"scores": scores})
    drawn = choose("ood")[0].build(Context(Store(tmp_path), records, set()))
    assert [row[0].text for row in in_order(drawn.sheets[0]).rows] == ["csq", "hashnet", "dpsh"]
    with drawing():
        ticks = drawn.figures[0].draw().axes[0].get_yticklabels()
    assert [text.get_text() for text in ticks] == ["HashNet", "DPSH", "CSQ"]
    assert drawn.figures[0].caption.endswith("over seeds and class splits."), "no note of the table's"
