"""Figures: panels for code lengths, the font, drawing in other processes."""

from __future__ import annotations

import io
import os
import signal
import struct
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import registry
from benchmark.report.artifact import choose
from benchmark.report.artifacts.retrieval import _corner, _tiles
from benchmark.report.context import Context
from benchmark.report.declared_methods import _declared, titled
from benchmark.report.draw import draw_all
from benchmark.report.figures import font
from benchmark.report.figures.font import COPY, ORIGINAL, family
from benchmark.report.figures.style import COLOURS, Width, drawing, encode, fit_paper, style
from benchmark.report.page.points import points
from benchmark.report.tables.cells import Cell, Figure, Sheet, text_cell
from benchmark.report.tables.markup import to_latex, to_markdown
from benchmark.store.record import Artifacts, CurvePoint, Record, Score, Timings
from benchmark.store.store import Store
from tests.report.test_report import made


def figures(artifact: str, records: list[Record]) -> tuple[Figure, ...]:
    ctx = Context(Store(Path("/nonexistent")), records, set())
    return choose(artifact)[0].build(ctx).figures


def timed(method: str, bits: int, seed: int = 0, value: float = 0.5) -> Record:
    """A finished fit that took some time and left a learning curve."""
    entry = registry.find("methods", method)
    version = entry.info["version"]
    record = made(value, method=method, method_version=version, bits=bits, seed=seed)
    spec = record.spec.model_copy(update={"params": entry.defaults})
    record = record.model_copy(update={"spec": spec, "fit_id": spec.fit_id})
    curve = tuple(CurvePoint(step=step, seconds=1.0, map=value, part="query") for step in (1, 2))
    return record.model_copy(update={"timings": Timings(train=bits / 4), "curve": curve})


def line(text: str) -> Figure:
    """A small figure of one line."""

    def draw() -> object:
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(2, 1), layout="constrained")
        axes.plot([0, 1], [0, 1], label=text)
        axes.set(xlabel=text, title="AVATo fi 0.5")
        return figure

    return Figure(name=text, title=text, caption=text, draw=draw)


def test_a_method_is_drawn_as_it_declares() -> None:
    assert registry.find("methods", "hashnet").info["look"] == ["blue", "s", "dashed"]
    assert style("hashnet") == {"color": COLOURS[1], "marker": "s", "linestyle": "--"}
    older = style("hashnet (version 1)")
    assert (older["color"], older["fillstyle"]) == (COLOURS[1], "none")


@pytest.mark.parametrize("artifact", ["cost", "curves", "ablation"])
@pytest.mark.parametrize("lengths", [(16,), (16, 32), (16, 32, 48, 64)])
def test_code_lengths_are_panels_of_one_figure(artifact: str, lengths: tuple[int, ...]) -> None:
    names = ("coophash", "coophash-nll") if artifact == "ablation" else ("hashnet", "csq")
    records = [timed(name, bits) for bits in lengths for name in names]
    (figure,) = figures(artifact, records)
    assert f"-{'-'.join(map(str, lengths))}b-" in figure.name
    assert f"{', '.join(map(str, lengths))} bits" in figure.title
    with drawing():
        drawn = figure.draw()
        encode(drawn)
        shown = [axes for axes in drawn.axes if axes.axison]
        titles = [axes.get_title() for axes in shown]
        every = [text for _, _, text in points(drawn)]
        assert all(axes.yaxis_inverted() == (artifact == "ablation") for axes in shown)
    wanted = [f"{bits} bits" for bits in lengths] if len(lengths) > 1 else [""]
    assert sorted(set(titles)) == sorted(wanted)
    assert len(shown) == len(lengths)  # of curves without losses: the mAP alone
    assert len(every) == len(records) * (2 if artifact == "curves" else 1)
    named = {"cost": "training seconds", "curves": "updates", "ablation": "mAP"}[artifact]
    assert all(named in text for text in every), "inner panels have names for their values too"


def test_a_variant_that_lacks_a_length_leaves_a_dash_there() -> None:
    records = [
        timed("coophash", 16),
        timed("coophash", 32),
        timed("coophash-nll", 16),
        timed("coophash-vae", 32),
    ]
    (figure,) = figures("ablation", records)
    assert figure.data is not None
    keys = [key for key, column, _ in figure.data.cells() if column == "mAP"]
    assert [(key[0], key[1]) for key in keys] == [
        ("16", "coophash"),
        ("16", "coophash-nll"),
        ("32", "coophash"),
        ("32", "coophash-vae"),
    ]
    with drawing():
        panels = figure.draw().axes
        marks = [[text.get_text().strip() for text in axes.texts] for axes in panels[:2]]
        rows = [label.get_text() for label in panels[0].get_yticklabels()]
    assert rows == [titled(name) for name in ("coophash", "coophash-nll", "coophash-vae")]
    assert marks == [["0.500", "0.500", "–"], ["0.500", "–", "0.500"]]


@pytest.mark.parametrize(("high", "wide"), [(8, 8), (6, 11)])
def test_retrieved_images_stand_where_their_frames_are(high: int, wide: int) -> None:
    images = (
        np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, high, wide), dtype=np.uint8) * 10
    )
    canvas = _tiles(images, [[0, 1, 2], [3, 4, 0]])
    for row, members in enumerate([[0, 1, 2], [3, 4, 0]]):
        for place, member in enumerate(members):
            top, left = _corner((high, wide), row, place)
            assert (canvas[top : top + high, left : left + wide] == member * 10).all()
            assert (canvas[top - 1, left : left + wide] == 255).all()


def test_other_processes_draw_what_this_one_would() -> None:
    wanted = [line(f"line {number}") for number in range(3)]
    here, there = (draw_all(iter(wanted), many=many, width="column") for many in (False, True))
    assert list(here) == list(there) == [figure.name for figure in wanted]
    assert all(here[name].images == there[name].images for name in here)
    assert all(here[name].shown == there[name].shown for name in here)


def test_a_killed_process_costs_no_figure() -> None:
    parent, good = os.getpid(), line("good")

    def dies() -> object:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return good.draw()

    drawn = draw_all([Figure(name="dies", title="", caption="", draw=dies), good], many=True)
    assert drawn["dies"].images[".png"] == drawn["good"].images[".png"]


def test_the_copied_font_draws_the_same_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert family() == COPY
    copy = draw_all([line("MNIST, 32 bits ± α")], many=False)
    monkeypatch.setattr("benchmark.report.figures.style.family", lambda: ORIGINAL)
    original = draw_all([line("MNIST, 32 bits ± α")], many=False)
    (one,), (other,) = copy.values(), original.values()
    pair = [np.asarray(Image.open(io.BytesIO(drawing.images[".png"]))) for drawing in (one, other)]
    np.testing.assert_array_equal(*pair)
    assert b"ReportSans" in one.images[".pdf"]
    assert b"/FontFile2" in one.images[".pdf"]
    assert b"DejaVuSans" in other.images[".pdf"]


def test_a_cache_that_cannot_be_written_leaves_the_original_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "file"))
    assert font.family.__wrapped__() == ORIGINAL


def test_a_damaged_copy_of_the_font_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fontManager, "addfont", lambda path: None)  # it would keep the path after this test
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    assert font.family.__wrapped__() == COPY
    (copy,) = (tmp_path / "fonts").glob("*.ttf")
    whole = copy.read_bytes()
    copy.write_bytes(whole[:1000])
    assert font.family.__wrapped__() == COPY
    assert copy.read_bytes() == whole


def scarce(record: Record, share: float) -> Record:
    """The same fit with a share of the labels, and the images that leaves."""
    spec = record.spec.model_copy(update={"label_fraction": share})
    assert record.protocol is not None
    facts = record.protocol.model_copy(update={"labelled": round(500 * share)})
    return record.model_copy(update={"spec": spec, "fit_id": spec.fit_id, "protocol": facts})


def test_label_shares_of_several_lengths_are_panels_too() -> None:
    full = [timed(name, bits) for name in ("hashnet", "csq") for bits in (16, 32)]
    records = [*full, *(scarce(one, 0.1) for one in full), scarce(full[0], 0.5)]
    (figure,) = figures("scarcity", records)
    assert "-16-32b-" in figure.name
    assert figure.data is not None
    assert figure.data.head[0] == "bits"
    cells = {(key[0], key[1], column): cell.mean for key, column, cell in figure.data.cells()}
    half = [column for column in figure.data.head if column.startswith("0.5")]
    assert cells["16", "hashnet", half[0]] == 0.5
    assert cells["32", "hashnet", half[0]] is None, (
        "a share that 32 bits lack is a gap, not another column's number"
    )
    with drawing():
        drawn = figure.draw()
        encode(drawn)
        assert [axes.get_title() for axes in drawn.axes] == ["16 bits", "32 bits"]
        assert sorted({float(x) for axes in drawn.axes for line in axes.lines for x in line.get_xdata()}) == [
            50.0,
            250.0,
            500.0,
        ]
    assert len(choose("scarcity")[0].build(Context(Store(Path("/nonexistent")), records, set())).sheets) == 2


def test_a_point_is_no_learning_curve_and_losses_that_nobody_kept_no_panel() -> None:
    (record,) = records = [timed("hashnet", 16)]
    (figure,) = figures("curves", records)
    assert "loss" not in figure.caption
    assert figures("curves", [record.model_copy(update={"curve": record.curve[:1]})]) == ()


@pytest.mark.parametrize("width", [None, "column", "page"])
@pytest.mark.parametrize("artifact", ["ablation", "ood", "table1"])
def test_titles_in_lines_leave_each_other_room(artifact: str, width: Width | None) -> None:
    """Methods at the side of a figure: their titles take lines, which must not touch their neighbours'."""
    long = {f"parameter_{n}": 0.25 for n in range(2)}
    names = (
        ("coophash-vectors", "coophash-vectors-vae", "coophash-vectors-nll")
        if artifact == "ablation"
        else ("csq", "dpsh", "hashnet")
    )
    records = [timed(name, 32) for name in names]
    if artifact != "ablation":
        specs = [r.spec.model_copy(update={"params": {**r.spec.params, **long}}) for r in records]
        records = [r.model_copy(update={"spec": s, "fit_id": s.fit_id}) for r, s in zip(records, specs)]
        scores = (Score(view="unseen-classes", metric="map", value=0.5), *records[0].scores)
        records = [record.model_copy(update={"scores": scores}) for record in records]
    (figure,) = figures(artifact, records)
    with drawing(width):
        drawn = figure.draw()
        if width is not None:
            fit_paper(drawn)
        drawn.canvas.draw()
        boxes = sorted(
            (text.get_window_extent() for text in drawn.axes[0].get_yticklabels()), key=lambda box: box.y0
        )
    assert any("\n" in text.get_text() for text in drawn.axes[0].get_yticklabels())
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


def test_variants_stand_beside_methods_in_the_scarcity_table_alone() -> None:
    shares = [timed(name, 32) for name in ("hashnet", "coophash", "coophash-nll")]
    few = [scarce(record, 0.1) for record in shares]
    (figure,) = figures("scarcity", shares + few)
    with drawing():
        labels = figure.draw().axes[0].get_legend_handles_labels()[1]
    assert labels == ["CoopHash", "HashNet"]
    assert "variants stand in the table alone" in figure.caption
    assert figure.data is not None
    assert [row[0].text for row in figure.data.rows] == ["coophash", "coophash-nll", "hashnet"]
    (alone,) = figures("scarcity", [record for record in shares + few if "-nll" in record.spec.method])
    with drawing():
        assert alone.draw().axes[0].get_legend_handles_labels()[1] == [titled("coophash-nll")]


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims to be that large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [head, b"IDAT" + zlib.compress(b""), b"IEND"]
    packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_a_damaged_grid_of_samples_gives_way_to_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = timed("hashgan", 32)
    store.save(record, Artifacts())
    folder = store.folder(record.spec) / "samples"
    folder.mkdir()
    Image.new("L", (20, 10), 9).save(folder / "step-1.png")
    whole = (folder / "step-1.png").read_bytes()
    (folder / "step-2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "step-3.png").write_bytes(b"")
    (folder / "step-4.png").write_bytes(bomb(20_000, 20_000))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(folder / "step-4.png")
    (figure,) = choose("samples")[0].build(Context(store, [record], set())).figures
    assert "after 1 updates" in figure.caption
    draw_all([figure], many=False)
    (folder / "step-1.png").unlink()
    drawn = choose("samples")[0].build(Context(store, [record], set()))
    assert not drawn.figures
    assert "paper-curves" in drawn.gaps[0].command


def test_without_semaphores_this_process_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise PermissionError("no semaphores")

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", refuses)
    assert list(draw_all([line("one"), line("two")], many=True)) == ["one", "two"]


def test_rows_that_set_the_same_parameter_look_unlike() -> None:
    """Methods that are told apart without colours are so with one learning rate for all."""
    rows = [f"{entry.name} (lr=0.001)" for entry in registry.entries("methods") if not entry.preset]
    looks = {(style(row)["marker"], str(style(row)["linestyle"])) for row in rows}
    assert len(looks) == len(rows) > 20


def test_a_long_title_is_broken_and_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "Deep $x_i hashing of everything by its author's supervised contrastive cooperation"
    renamed = replace(_declared()["hashnet"], title=long)
    monkeypatch.setattr(
        "benchmark.report.declared_methods._declared", lambda: {**_declared(), "hashnet": renamed}
    )
    (figure,) = figures(
        "table1", [timed("hashnet", 16), timed("csq", 16), timed("hashnet", 32), timed("csq", 32)]
    )
    with drawing():
        drawn = figure.draw()
        encode(drawn)
        names = [text.get_text() for text in drawn.legends[0].get_texts()]
        assert drawn.legends[0].get_window_extent().width <= drawn.bbox.width
        said = {text.partition(":")[0] for _, _, text in points(drawn)}
    (broken,) = [name for name in names if name != "CSQ"]
    assert max(map(len, broken.split("\n"))) <= 24
    assert said == {long, "CSQ"}


def test_columns_that_are_methods_have_their_titles() -> None:
    cells = (text_cell("rule"), Cell(values=(0.5,), planned=1), Cell(values=(0.25,), planned=1))
    sheet = Sheet("s", "t", ("convention", "csq", "clean mAP"), (cells,), ("command: run --methods csq",))
    assert "| convention | CSQ | clean mAP |" in to_markdown(sheet)
    assert "convention & CSQ & clean mAP" in to_latex(sheet)
    assert r"command: run \texttt{-{}-methods} csq." in to_latex(sheet)
    assert [column for _, column, _ in sheet.cells()] == ["csq", "clean mAP"], "of the CSV"
