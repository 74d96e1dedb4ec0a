from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmark.report import check, render
from benchmark.report.artifact import choose
from benchmark.report.context import Context
from benchmark.report.declared_methods import _declared, remembering, titled
from benchmark.report.figures.style import COLUMN, PAGE, Width, drawing, fit_paper
from benchmark.report.page.view import sheet_view
from benchmark.report.tables.cells import Cell, Sheet, text_cell
from benchmark.report.tables.layout import in_parts, layout, text_width
from benchmark.report.tables.markup import paper_text, to_csv
from benchmark.report.tables.paper import paper_latex, stable_labels
from benchmark.spec.corruptions import COMMON
from benchmark.store.record import Artifacts, Record, Score
from benchmark.store.store import Store
from tests.report.test_report import HOSTILE, made, sheet
from tests.report.test_report_figures import figures, scarce, timed

#: A two-column class of a conference: text of 6.9 inches in columns of 3.3.
PAGES = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[textwidth=6.9in,columnsep=0.3in,textheight=9in]{geometry}
\usepackage{booktabs,graphicx,tabularx}
\begin{document}
"""
needs_tex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex here: nothing is compiled"
)


def compiled(tex: str, folder: Path) -> list[str]:
    """What a document says of boxes that are too wide or high, by more than a point; it must compile."""
    (folder / "page.tex").write_text(tex)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    found = re.findall(r"(Overfull .*|.*Float too large.*)", done.stdout)
    return [line for line in found if float((re.findall(r"([\d.]+)pt", line) or ["9"])[0]) > 1]


def numbers(columns: int, rows: int = 4) -> Sheet:
    """A table of means with deviations."""
    cells = tuple(Cell(values=(0.8123, 0.8211), planned=2) for _ in range(columns))
    heads = tuple(f"{16 * (n + 1)} bits" for n in range(columns))
    return Sheet("n", "t", ("method", *heads), tuple((text_cell("hashnet"), *cells) for _ in range(rows)))


def words(length: int, rows: int = 3) -> Sheet:
    """A table with a column of prose and one of words without a space."""
    prose = " ".join(["mAP of CoopHash over the others"] * length)
    body = tuple((text_cell("a"), text_cell(prose), text_cell("f" * 64)) for _ in range(rows))
    return Sheet("w", "t", ("claim", "what", "digest"), body, notes=("command: a --methods b", "f" * 200))


def joint(records: Iterable[Record]) -> tuple[Sheet, ...]:
    ctx = Context(Store(Path("/nonexistent")), list(records), set())
    return choose("joint")[0].build(ctx).sheets


def two_sets() -> list[Record]:
    """Three methods on two data sets at two lengths and seeds; one of them on the first set alone."""
    found = []
    for dataset, protocol in (("digits", "digits-20-50"), ("mnist", "mnist-69k")):
        for method, base in (("csq", 0.8), ("hashnet", 0.7), ("dpsh", 0.9)):
            if method == "dpsh" and dataset == "mnist":
                continue
            for bits in (16, 32):
                for seed in (0, 1):
                    where = {"dataset": dataset, "protocol": protocol, "bits": bits, "seed": seed}
                    found.append(made(base + bits / 1000 + seed / 100, method=method, **where))
    return found


@needs_tex
@pytest.mark.parametrize("width", ["column", "page"])
def test_no_table_is_wider_than_its_page(width: Width, tmp_path: Path) -> None:
    hostile = made(0.7, method="lsh").model_copy(
        update={"flags": ('é ü 中 [x] " `', HOSTILE), "command": HOSTILE}
    )
    tables = [sheet([made(0.5), made(0.6, seed=2), hostile]), *joint(two_sets())]
    tables += [*map(numbers, (2, 4, 7, 24)), *map(words, (1, 4)), numbers(1, rows=120), words(40, rows=6)]
    text = "\\clearpage\n".join(paper_latex(one, width) for one in tables)
    assert compiled(f"{PAGES}{text}\\end{{document}}\n", tmp_path) == []


def test_a_table_spans_both_columns_where_one_is_too_narrow() -> None:
    assert r"\begin{table}" in paper_latex(numbers(2))
    assert r"\begin{table*}" in paper_latex(numbers(2), "page")
    assert r"\begin{table*}" in paper_latex(numbers(6))
    assert r"\begin{tabularx}" in paper_latex(words(4))
    assert r"\begin{tabularx}" not in paper_latex(numbers(24))
    # Of Computer Modern at ten points: a digit is 5 points wide, a space a third of ten.
    assert text_width("0123", 10) == pytest.approx(20, abs=0.1)
    assert text_width("a b", 10) == pytest.approx(5 + 10 / 3 + 5.56, abs=0.1)


def test_a_long_table_goes_on() -> None:
    found = paper_latex(numbers(1, rows=120))
    assert found.count(r"\begin{table}") == 3
    assert found.count("(continued)") == 2
    assert found.count(r"\label{") == 1
    assert found.count("HashNet & ") == 120


def long_names(sheet: Sheet) -> Sheet:
    """The table with a peer's methods: a long title, many parameters, one word without a space, a page of words."""
    names = [
        "Deep Cooperative Hashing of Images with Generative Priors and Class Heads, second edition",
        f"peer ({', '.join(f'parameter_{n}={n / 7:.4f}' for n in range(12))})",
        "a_method_of_one_word_" * 4,
        "words " * 400,
    ]
    rows = tuple((text_cell(name), *row[1:]) for name, row in zip(names, sheet.rows, strict=True))
    return replace(sheet, rows=rows)


def blocks(sets: int) -> Sheet:
    """A joint table of four code lengths a data set."""
    table = numbers(4 * sets)
    heads = [f"Set {n // 4}, {16 * (n % 4 + 1)} bits" for n in range(4 * sets)]
    return replace(table, head=("method", *heads), blocks=tuple((f"Set {n}", 4) for n in range(sets)))


@needs_tex
@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("wide", [1, 4, 6, 7, 9, 24])
def test_a_long_name_leaves_its_table_readable(wide: int, width: Width, tmp_path: Path) -> None:
    table = long_names(numbers(wide))
    found = paper_latex(table, width)
    assert not any(layout(part, width).shrunk for part in in_parts(table, width)), "no smaller than 7 pt"
    # Without what would make it smaller it has to fit as well.
    whole = found.replace(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%", "{%")
    assert "resizebox" not in whole
    assert compiled(f"{PAGES}{whole}\\end{{document}}\n", tmp_path) == []
    told = re.sub(r"\\allowbreak\{\}", "", found)
    assert told.count("Generative Priors and Class Heads, second edition") == len(in_parts(table, width))


def test_columns_that_fit_no_page_go_on_in_further_tables() -> None:
    (whole,) = in_parts(numbers(6), "page")
    assert whole == numbers(6)
    parts = in_parts(numbers(24), "page")
    assert [head for part in parts for head in part.head[1:]] == [*numbers(24).head[1:]]
    assert {part.head[0] for part in parts} == {"method"}
    found = paper_latex(numbers(24))
    assert found.count(r"\caption") == len(parts) == found.count("(continued)") + 1
    assert found.count(r"\label{") == 1
    joined = in_parts(blocks(4), "page")
    assert [part.blocks for part in joined] == [(("Set 0", 4), ("Set 1", 4)), (("Set 2", 4), ("Set 3", 4))]


def test_two_hyphens_stay_two_hyphens() -> None:
    assert paper_text("run --methods itq") == r"run \texttt{-{}-methods} itq"
    assert paper_text("(--batch-size=64)") == r"(\texttt{-{}-batch-size}=64)"
    assert paper_text("a -- b --- c") == r"a -{}- b -{}-{}- c"
    assert paper_text("4–8") == "4--8"  # a range in the text stays one


def test_labels_are_without_digests_and_unlike() -> None:
    names = ["table1-mnist-last-e33832", "table1-mnist-last-08dd02", "ranks", "samples-mnist-32b-0123abcd"]
    assert list(stable_labels(names).values()) == [
        *("table1-mnist-last", "table1-mnist-last-2", "ranks", "samples-mnist-32b")
    ]
    assert r"\label{tab:mine}" in paper_latex(numbers(1), label="mine")
    assert r"\label{tab:n}" in paper_latex(numbers(1))


@pytest.mark.parametrize(
    ("p", "common", "shown"),
    [(0.01, 3, r"\textbf{0.5000}$^{*}$"), (0.2, 3, r"\textbf{0.5000} "), (0.01, 1, r"\textbf{0.5000} ")],
)
def test_a_star_is_a_lead_over_several_seeds(p: float, common: int, shown: str) -> None:
    best = Cell(values=(0.5,), planned=1, mark="best", p=p, common=common)
    second = Cell(values=(0.4,), planned=1, mark="second")
    rows = ((text_cell("hashnet"), best), (text_cell("csq"), second))
    found = paper_latex(
        Sheet("s", "t", ("method", "mAP"), rows, notes=("bold: otherwise", "command: run --x"))
    )
    assert f"HashNet & {shown}" in found
    assert r"CSQ & \underline{0.4000} \\" in found
    assert "bold: best of its column; underlined: second." in found
    assert "bold: otherwise" not in found
    assert "% command: run --x" in found


def test_a_joint_table_has_methods_by_data_sets() -> None:
    (found,) = joint(two_sets())
    assert [row[0].text for row in found.rows] == [
        "csq",
        "hashnet",
        "dpsh",
    ]  # last: one set has no number of it
    assert [cell.text for cell in found.rows[0][1:]] == ["0.821", "0.837", "0.821", "0.837"]
    assert [cell.text for cell in found.rows[2][1:]] == ["0.921", "0.937", "–", "–"]
    assert [count for _, count in found.blocks] == [2, 2]
    assert [cell.mark for cell in found.rows[0][1:]] == ["second", "second", "best", "best"]
    latex = paper_latex(found)
    assert r"\multicolumn{2}{c}{MNIST}" in latex
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in latex
    assert "HashNet & 0.721 & 0.737" in latex
    assert "MNIST: seeds 0, 1." in latex
    assert len(to_csv([("joint", found)]).splitlines()) == 1 + 12


def test_rows_are_read_in_the_order_of_their_scores() -> None:
    records = [corrupted(name, 16, value) for name, value in (("csq", 0.7), ("hashnet", 0.9), ("dpsh", 0.8))]
    ctx = Context(Store(Path("/nonexistent")), records, set())
    for artifact in ("corruption", "cost"):
        (table,) = choose(artifact)[0].build(ctx).sheets
        assert [row[0].text for row in table.rows] == ["csq", "dpsh", "hashnet"]  # files keep their order
        assert [row[0].text for row in sheet_view(0, table).rows] == ["HashNet", "DPSH", "CSQ"]
        found = paper_latex(table)
        assert found.index("HashNet &") < found.index("DPSH &") < found.index("CSQ &")


def test_a_joint_table_needs_the_same_backbone() -> None:
    records = two_sets()
    other = [
        record.model_copy(update={"spec": record.spec.model_copy(update={"backbone": "alexnet"})})
        if record.spec.dataset == "mnist"
        else record
        for record in records
    ]
    assert joint(other) == ()
    assert joint([record for record in records if record.spec.dataset == "mnist"]) == ()


def test_a_method_has_its_title_where_that_is_its_own() -> None:
    assert titled("csq (lr=0.1)") == "CSQ (lr=0.1)"
    assert titled("not-installed (a=1)") == "not-installed (a=1)"
    assert len({one.title for one in _declared().values()}) == len(_declared())
    with remembering({"mine": {"version": 1, "title": "CSQ", "defaults": {}}}):
        assert titled("mine") == "mine"
        assert titled("csq") == "csq"


def corrupted(method: str, bits: int, value: float = 0.8) -> Record:
    """A finished fit with every common corruption."""
    record = timed(method, bits, value=value)
    scores = [
        Score(view=f"corruption:{name}@3", metric="map", value=value - 0.01 * place)
        for place, name in enumerate(COMMON)
    ]
    return record.model_copy(update={"scores": (*record.scores, *scores)})


def some_figures(artifact: str, lengths: tuple[int, ...]) -> list[Any]:
    names = ("coophash", "coophash-nll") if artifact == "ablation" else ("hashnet", "csq", "greedyhash-u")
    records = [timed(name, bits, value=0.9 + n / 100) for bits in lengths for n, name in enumerate(names)]
    if artifact == "scarcity":
        records += [scarce(one, 0.1) for one in records]
    if artifact == "corruption":
        records = [corrupted(name, bits) for bits in lengths for name in names]
    return list(figures(artifact, records))


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("artifact", ["table1", "cost", "curves", "ablation", "scarcity", "corruption"])
@pytest.mark.parametrize("lengths", [(16,), (16, 32, 48)])
def test_figures_have_the_width_and_the_text_of_a_paper(
    artifact: str, lengths: tuple[int, ...], width: Width
) -> None:
    from matplotlib.text import Text

    (figure,) = some_figures(artifact, lengths)
    with drawing(width):
        drawn = figure.draw()
        fit_paper(drawn)
        drawn.canvas.draw()
        assert drawn.get_size_inches()[0] == (COLUMN if width == "column" else PAGE)
        shown = [one for one in drawn.findobj(Text) if one.get_visible() and one.get_text().strip()]
        assert {one.get_fontsize() for one in shown} == {8.0}
        words = [one for axes in drawn.axes for one in axes.texts if one.get_visible()]
        words += [one for legend in drawn.legends for one in legend.get_texts()]
        for box in (one.get_window_extent() for one in words):
            assert drawn.bbox.x0 - 1 <= box.x0 < box.x1 <= drawn.bbox.x1 + 1
            assert drawn.bbox.y0 - 1 <= box.y0 < box.y1 <= drawn.bbox.y1 + 1
        if drawn.legends:
            lowest = min(axes.get_tightbbox().y0 for axes in drawn.axes if axes.axison)
            assert drawn.legends[0].get_window_extent().y1 <= lowest + 1
        for axes in drawn.axes:
            ticks = [one for one in axes.xaxis.get_ticklabels() if one.get_visible() and one.get_text()]
            boxes = [one.get_window_extent() for one in ticks if not one.get_rotation()]
            assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    with drawing():
        assert {one.get_fontsize() for one in figure.draw().findobj(Text)} != {8.0}


def test_lines_of_a_paper_begin_where_the_values_do() -> None:
    for artifact in ("scarcity", "curves", "cost"):
        (figure,) = some_figures(artifact, (16,))
        with drawing("column"):
            assert figure.draw().axes[0].get_ylim()[0] > 0.5
        with drawing():
            assert figure.draw().axes[0].get_ylim()[0] == 0
    (bars,) = some_figures("ablation", (16,))
    with drawing("column"):
        assert bars.draw().axes[0].get_xlim()[0] == 0  # a bar's length is its value


def test_a_diagram_of_long_names_takes_both_columns() -> None:
    for names, wide in ((("csq", "hashnet", "dpsh"), COLUMN), (("csq", "hashnet", "greedyhash-u"), PAGE)):
        records = [timed(name, bits, value=0.9 - n / 10) for bits in (16, 32) for n, name in enumerate(names)]
        (figure,) = figures("ranks", records)
        with drawing("column"):
            assert figure.draw().get_size_inches()[0] == wide


def test_methods_have_their_titles_in_a_papers_legend() -> None:
    (figure,) = some_figures("scarcity", (16,))
    with drawing("column"):
        found = figure.draw().axes[0].get_legend_handles_labels()[1]
    assert sorted(found) == ["CSQ", "GreedyHash\n(unsupervised)", "HashNet"]


def test_heat_maps_of_code_lengths_are_one_figure_in_one_range() -> None:
    records = [corrupted("hashnet", 16), corrupted("csq", 16, 0.7), corrupted("hashnet", 32)]
    (figure,) = figures("corruption", records)
    assert "-16-32b-" in figure.name
    assert figure.data is not None
    assert [[cell.text for cell in row[:2]] for row in figure.data.rows] == [
        *(["16", "hashnet"], ["16", "csq"], ["32", "hashnet"])
    ]
    with drawing():
        drawn = figure.draw()
        maps = [axes for axes in drawn.axes if axes.images and axes.get_title()]
        assert [axes.get_title() for axes in maps] == ["16 bits", "32 bits"]
        assert len({axes.images[0].get_clim() for axes in maps}) == 1
        assert {text.get_text() for text in maps[1].texts if text.get_position()[0] == 1} == {"–"}  # no csq
        assert len(drawn.axes) == 3  # two maps, one bar of colours


def saved(folder: Path, records: Iterable[Record]) -> Path:
    for record in records:
        Store(folder).save(record, Artifacts())
    return folder


@needs_tex
@pytest.mark.parametrize("width", ["column", "page"])
def test_a_report_for_a_paper_compiles_whole(width: Width, tmp_path: Path) -> None:
    out = tmp_path / "out"
    records = [corrupted("hashnet", 16), corrupted("csq", 32), *two_sets()]
    results = saved(tmp_path / "runs", records)
    render(results, out, "table1,joint,corruption,parameters", formats=("png", "pdf"), width=width)
    text = (out / "paper.tex").read_text()
    assert text.count(r"\input{") == len(list(out.glob("*.tex"))) - 1
    assert text.count(r"\includegraphics") == len(list(out.glob("*.pdf"))) > 0
    assert (
        re.search(r"\\label\{[^}]*[0-9a-f]{6}\}", "".join(one.read_text() for one in out.glob("*.tex")))
        is None
    )
    assert compiled(text, out) == []


def test_a_report_remembers_its_width(tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]) -> None:
    results = saved(tmp_path / "runs", [made(0.5), made(0.6, method="csq")])
    common = ("report", "--results", str(results), "--only", "table1", "--formats", "png")
    assert run_cli(*common)[0] == 0
    plain = {path.name: path.read_bytes() for path in (results / "report").iterdir()}
    assert run_cli(*common, "--width", "column")[0] == 0
    assert {path.name: path.read_bytes() for path in (results / "report").iterdir()} == plain
    assert not any(name == "paper.tex" for name in plain)
    assert "width" not in json.loads(plain["report.json"])
    paper = results / "report-column"
    assert json.loads((paper / "report.json").read_text())["width"] == "column"
    assert check(results, paper, tmp_path / "again") == []
    (image,) = paper.glob("map-*.png")
    assert Image.open(io.BytesIO(image.read_bytes())).width == round(200 * COLUMN)
    code, _, err = run_cli(*common, "--width", "wide")
    assert (code, "'column', 'page'" in err) == (2, True)
