from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from PIL import Image

from benchmark import registry
from benchmark.errors import InputError
from benchmark.report import check, render
from benchmark.report.artifact import choose
from benchmark.report.artifacts import main_table as main_artifact
from benchmark.report.artifacts import tsne
from benchmark.report.artifacts.main_table import main_table
from benchmark.report.context import Context
from benchmark.report.declared_methods import known
from benchmark.report.figures.panels import draw_lines
from benchmark.report.figures.style import COLUMN, drawing, legend_below, style
from benchmark.report.groups import group_records
from benchmark.report.tables.cells import Cell, Sheet
from benchmark.report.tables.markup import latex, to_csv, to_latex, to_markdown
from benchmark.spec import suites
from benchmark.store.record import Artifacts, Failure, ProtocolFacts, Record, Score
from benchmark.store.store import Store
from tests.helpers import execute, method_source
from tests.spec.test_spec import SPEC

FACTS = ProtocolFacts(
    text="digits-20-50 v1",
    rules={"ties": "expected"},
    rules_text="ties averaged",
    queries=200,
    database=1597,
    labelled=500,
    hidden=0,
    tuning=0,
    label_rule="all",
    selection_text="last",
)


def made(value: float | None, **changes: object) -> Record:
    """A record with an mAP, or a failed one."""
    declared = known(
        str(changes.get("method", SPEC.method))
    )  # a fit of today's version, unless it says otherwise
    version = {"method_version": declared.version} if declared else {}
    spec = SPEC.model_copy(update={"params": {}, **version, **changes})
    if value is None:
        failure = Failure(kind="error", message="it | broke & <b>")
        return Record(fit_id=spec.fit_id, spec=spec, state="failed", failure=failure)  # knows no protocol
    score = Score(view="clean", metric="map", value=value)
    return Record(fit_id=spec.fit_id, spec=spec, state="done", scores=(score,), protocol=FACTS)


def sheet(records: list[Record], stale: set[str] | None = None) -> Sheet:
    """The main table of records that belong to one group."""
    ctx = Context(Store(Path("/nonexistent")), records, stale or set())
    (group,) = group_records(records)
    return main_table(ctx, group)


def rows(table: Sheet) -> dict[str, list[str]]:
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    return {
        cells[0]: cells[1:]
        for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines[2:])
    }


def test_means_spread_gaps_and_marks() -> None:
    records = [
        *(made(value, method="hashnet", seed=seed, bits=16) for seed, value in enumerate([0.8, 0.9])),
        made(0.7, method="itq", bits=16, epochs=None, batch_size=None),
        made(0.95, method="itq", bits=32, epochs=None, batch_size=None),
        made(None, method="lsh", bits=32, epochs=None, batch_size=None),
    ]
    assert rows(sheet(records, stale={records[0].fit_id})) == {
        "HashNet": ["<u>0.8500 ± 0.0707‡</u>", "–"],
        "ITQ": ["<u>0.7000†</u>", "0.9500†"],
        "LSH": ["–", "failed"],
    }


def test_equal_bests_share_their_mark_and_are_called_equal() -> None:
    records = [made(0.5, method=name) for name in ("hashnet", "dsh", "dpsh")] + [made(0.4, method="lsh")]
    table = sheet(records)
    cells = rows(table)
    assert cells["HashNet"] == cells["DSH"] == cells["DPSH"] == ["<u>0.5000</u>"]
    assert cells["LSH"] == ["<u>0.4000</u>"]
    assert "32 bits: DPSH, DSH, HashNet are equal" in table.notes


def test_one_method_alone_is_not_the_best() -> None:
    assert rows(sheet([made(0.5), made(0.6, seed=1)])) == {"HashNet": ["0.5500 ± 0.0707"]}


def test_every_number_names_its_fits() -> None:
    records = [made(0.5), made(0.6, seed=1), made(None, method="lsh")]
    cells = {(key, column): cell for key, column, cell in sheet(records).cells()}
    assert cells[("hashnet",), "32 bits"].fits == (records[0].fit_id, records[1].fit_id)
    assert cells[("lsh",), "32 bits"].fits == (records[2].fit_id,)
    assert cells[("lsh",), "32 bits"].failed == 1


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "cifar10-54k"},
        {"dataset": "mnist"},
        {"selection": "peek"},
        {"label_fraction": 0.1},
        {"labels_per_class": 5},
        {"label_noise": 0.2},
        {"class_split": 1},
        {"backbone": "alexnet"},
        {"weights": "imagenet"},
        {"epochs": 10},
        {"batch_size": 32},
        {"fingerprint": "f" * 16},
        {"precision": "bf16"},
    ],
)
def test_numbers_under_other_conditions_never_share_a_table(change: dict[str, object]) -> None:
    groups = group_records([made(0.5), made(0.6, **change)])
    assert len(groups) == 2
    assert all(len(group.records) == 1 for group in groups)
    assert len({group.slug for group in groups}) == 2
    assert len({group.title for group in groups}) == 2


def test_numbers_under_other_rules_never_share_a_table() -> None:
    facts = FACTS.model_copy(update={"rules": {"ties": "optimistic"}})
    other = made(0.6, seed=1).model_copy(update={"protocol": facts})
    groups = group_records([made(0.5), other])
    assert len({group.title for group in groups}) == 2
    facts = facts.model_copy(update={"rules_text": "mAP@all, the best order of ties"})
    groups = group_records([made(0.5), other.model_copy(update={"protocol": facts})])
    assert [group.title.endswith(", mAP@all, the best order of ties") for group in groups].count(True) == 1
    (apart, _) = sorted(group.title for group in group_records([made(0.5), made(0.5, precision="bf16")]))
    assert apart == "digits, digits-20-50, precision auto"


def test_methods_without_a_budget_join_every_budget() -> None:
    free = made(0.3, method="lsh", epochs=None, batch_size=None)
    groups = group_records([made(0.5), made(0.6, epochs=10), free])
    assert [len(group.records) for group in groups] == [2, 2]


def test_changed_parameters_get_their_own_row() -> None:
    records = [made(0.5, method="itq"), made(0.6, method="itq", params={"iterations": 3, "features": "auto"})]
    assert set(rows(sheet(records))) == {"ITQ", "ITQ (iterations=3)"}


HOSTILE = "<script>alert(1)</script> \\input{/etc/passwd} | 100% $x$ #1 _a_ ^b ~c {d} & `e`"


def test_hostile_text_stays_text() -> None:
    escaped = latex(HOSTILE)
    for piece in ("\\input{", "<", "100% ", "$x$", " #1", " _a", "{d}"):
        assert piece not in escaped.replace(r"\%", "").replace(r"\#", "").replace(r"\_", "") or piece == "{d}"
    assert r"\textbackslash{}input\{/etc/passwd\}" in escaped
    record = made(None).model_copy(update={"failure": Failure(kind="error", message=HOSTILE)})
    table = sheet([record])
    markdown = to_markdown(table)
    assert "<script>" not in markdown
    assert " \\| 100%" in markdown
    assert r"\input{" not in to_latex(table)


def test_csv_holds_numbers_at_full_precision() -> None:
    table = sheet([made(1 / 3), made(2 / 3, seed=1)])
    (row,) = csv.DictReader(io.StringIO(to_csv([("table1", table)])))
    assert float(row["mean"]) == 0.5
    assert (row["n"], row["planned"], row["row"], row["column"]) == ("2", "2", "hashnet", "32 bits")
    assert len(row["fits"].split()) == 2


def test_csv_text_is_no_formula() -> None:
    cells = (Cell(label="=1+1"), Cell(label="+x"))
    (row,) = csv.DictReader(io.StringIO(to_csv([("a", Sheet("s", "t", ("k", "@c"), (cells,)))])))
    assert (row["row"], row["column"], row["text"]) == ("'=1+1", "'@c", "'+x")


def test_render_writes_everything_from_real_records(tmp_path: Path) -> None:
    execute(tmp_path / "runs", methods=("hashnet", "lsh"), bits=(8, 16), epochs=2)
    written = render(tmp_path / "runs", tmp_path / "out")
    names = {path.name for path in written}
    assert {path.suffix for path in written} == {
        ".md",
        ".tex",
        ".csv",
        ".png",
        ".pdf",
        ".txt",
        ".parquet",
        ".json",
        ".html",
        ".toml",
    }
    assert {"report.md", "main.csv", "cells.csv", "cells.parquet", "records.parquet", "report.json"} <= names
    page = (tmp_path / "out" / "report.md").read_text()
    assert "digits-20-50 v1: 20 queries and 50 training images a class" in page
    assert "ties averaged over all orders" in page
    assert "selection last" in page
    for record in Store(tmp_path / "runs").records():
        assert f"{record.score():.4f}" in page
    png = next(path for path in written if path.suffix == ".png").read_bytes()
    assert png.startswith(b"\x89PNG")
    pdf = next(path for path in written if path.suffix == ".pdf").read_bytes()
    assert b"/FontFile2" in pdf, "fonts are embedded as TrueType"
    assert b"/Type3" not in pdf
    assert check(tmp_path / "runs", tmp_path / "out", tmp_path / "again") == []
    (tmp_path / "out" / "main.csv").write_text("changed\n")
    (picture,) = [path for path in written if path.name.startswith("curve-8-") and path.suffix == ".png"]
    Image.new("RGB", (10, 10)).save(picture)
    problems = check(tmp_path / "runs", tmp_path / "out", tmp_path / "again")
    assert sorted(problems) == [f"{picture.name}: its picture differs", "main.csv: differs"]


def test_parquet_holds_typed_columns(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for record in (made(0.25), made(None, seed=1)):
        store.save(record, Artifacts())
    render(tmp_path, tmp_path / "out", "table1")
    cells = pandas.read_parquet(tmp_path / "out" / "cells.parquet")
    assert cells["mean"].tolist() == [0.25]
    assert list(cells["fits"][0]) == [made(0.25).fit_id]
    records = pandas.read_parquet(tmp_path / "out" / "records.parquet")
    assert records["state"].tolist() == ["done", "failed"] or set(records["state"]) == {"done", "failed"}
    assert records["value"].dtype == float


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no records"):
        render(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_records_of_an_uninstalled_method_still_report(plugin: Callable[..., Path], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(made(0.4, method="gone-method"), Artifacts())
    assert "gone-method" in rows(sheet(list(store.records())))
    assert method_source("x")


@pytest.mark.parametrize("cold", [False, True])
def test_the_report_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cold: bool) -> None:
    registry.entries("methods")
    if cold:  # nothing is known of any plug-in
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    Store(tmp_path).save(made(0.4), Artifacts())
    code = (
        "import sys\nfrom benchmark.cli import main\n"
        f"assert main(['report', '--results', {str(tmp_path)!r}]) == 0\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_method_keeps_its_colour() -> None:
    rows = ("coophash", "coophash v1", "coophash (lr=0.1)", "coophash (lr=0.2)")
    assert len({style(row)["color"] for row in rows}) == 1
    assert len({str(sorted(map(str, style(row).items()))) for row in rows}) == len(rows)
    assert style("coophash") != style("hashnet")
    assert style("some-new-method") == style("some-new-method")
    looks = {tuple(map(str, style(entry.name).values())) for entry in registry.entries("methods")}
    assert len(looks) == len(registry.entries("methods"))


def test_methods_are_told_apart_without_colours() -> None:
    looks = [style(entry.name) for entry in registry.entries("methods")]
    assert len({(look["marker"], str(look["linestyle"])) for look in looks}) == len(looks)
    figure4 = [style(name) for name in suites.read("paper-curves")["methods"]]
    assert len({look["marker"] for look in figure4}) == len(figure4)


def test_a_legend_of_long_names_stays_inside_its_figure() -> None:
    with drawing() as pyplot:
        figure, axes = pyplot.subplots(figsize=(COLUMN, 2.6), layout="constrained")
        draw_lines(axes, {f"a-method-with-a-long-name-{n}": {1.0: [0.1], 2.0: [0.2]} for n in range(9)})
        legend_below(figure, [axes])
        figure.canvas.draw()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert box.y1 < axes.get_window_extent().y0
        assert len(legend.get_texts()) == 9


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here: tables are not compiled")
def test_the_latex_compiles_whatever_records_say(tmp_path: Path) -> None:
    failed = made(None, seed=1).model_copy(
        update={"failure": Failure(kind="error", message=HOSTILE), "command": HOSTILE}
    )
    odd = made(0.7, method="lsh").model_copy(update={"flags": ('é ü 中 \u200b [x] " `',)})
    table = sheet([made(0.5), made(0.6, seed=2), failed, odd], {made(0.5).fit_id})
    text = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "page.tex").write_text(text + to_latex(table) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").is_file()


def test_artifacts_are_chosen_by_name_or_by_the_papers_number(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert [one.name for one in choose("figure3,table1")] == ["table1", "ablation"]
    names = [name for one in choose(None) for name in (one.name, *one.aliases)]
    assert len(names) == len(set(names))
    assert set(suites.names()) >= {one.suite for one in choose(None)}
    code, out, _ = run_cli("report", "--list")
    assert (code, len(out.splitlines())) == (0, len(choose(None)))
    Store(tmp_path).save(made(0.4), Artifacts())
    code, _, err = run_cli("report", "--results", str(tmp_path), "--only", "figur3")
    assert (code, "unknown artifact 'figur3'" in err) == (2, True)
    code, _, _ = run_cli(
        "report", "--results", str(tmp_path), "--only", "table1", "--out", str(tmp_path / "o")
    )
    assert code == 0
    assert not list((tmp_path / "o").glob("cost*"))


def test_one_artifact_made_again_leaves_the_rest_of_a_report(tmp_path: Path) -> None:
    store, out = Store(tmp_path / "runs"), tmp_path / "out"
    for bits in (16, 32):
        store.save(made(0.4, bits=bits), Artifacts())
    everything = "table1,cost,parameters"
    render(tmp_path / "runs", out, everything)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert any(name.startswith("cost") for name in before)
    render(tmp_path / "runs", out, "table1")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not check(tmp_path / "runs", out, tmp_path / "again")
    (out / "notes.txt").write_text("mine")
    (out / "report.json").write_text("[")
    render(tmp_path / "runs", out, "table1")
    assert json.loads((out / "report.json").read_text())["artifacts"] == ["table1"]
    assert (out / "notes.txt").read_text() == "mine"


def test_methods_stand_in_the_order_of_their_scores() -> None:
    records = [made(value, method=name) for name, value in (("csq", 0.2), ("dpsh", 0.9), ("itq", 0.5))]
    table = sheet([*records, made(None, method="dsh")])
    assert [row[0].text for row in table.rows] == ["dpsh", "itq", "csq", "dsh"]


def test_a_class_in_a_legend_has_its_name() -> None:
    names = tsne._class_names("digits")
    assert [tsne._class(names, number) for number in (0, 9)] == [names[0], names[9]]
    assert tsne._class(("_a$b",), 0) == r"a\$b"
    assert tsne._class(tsne._class_names("not-installed"), 3) == "3"


def test_missing_seeds_come_with_their_command(tmp_path: Path) -> None:
    records = [made(0.5, seed=0), made(0.6, seed=1), made(0.7, method="csq", seed=0)]
    drawn = main_artifact.build(Context(Store(tmp_path), records, set()))
    (gap,) = drawn.gaps
    assert "csq at 32 bits, seeds 1" in gap.what
    assert (
        "--methods csq --datasets digits --bits 32 --seeds 1 --protocol digits-20-50 --epochs 45"
        in gap.command
    )


def test_table_1_draws_multi_label_sets_beside_single_label_ones(tmp_path: Path) -> None:
    execute(tmp_path, methods=("itq", "lsh"), datasets=("digits", "multi-digits"), bits=(8, 16))
    store = Store(tmp_path)
    drawn = main_artifact.build(Context(store, list(store.records()), set()))
    assert [table.facts["dataset"] for table in drawn.sheets] == ["digits", "multi-digits"]
    for table in drawn.sheets:
        assert table.head[1:] == ("8 bits", "16 bits")
        assert all(0 < cell.mean < 1 for _, _, cell in table.cells() if cell.mean is not None)
        assert len(table.rows) == 2
    assert drawn.gaps == ()


def test_table_1_keeps_backbones_and_the_papers_three_sets_apart() -> None:
    wanted = [("cifar10", "cifar10-59k", "compact"), ("cifar10", "cifar10-59k", "alexnet")]
    wanted += [("nuswide-21", "nuswide-tc21", "alexnet"), ("coco", "coco-117k", "alexnet")]
    records = [
        made(0.1 * place, dataset=name, protocol=rule, backbone=backbone, method=method)
        for place, (name, rule, backbone) in enumerate(wanted, 1)
        for method in ("hashnet", "coophash")
    ]
    drawn = main_artifact.build(Context(Store(Path("/nonexistent")), records, set()))
    found = {(one.facts["dataset"], one.facts["backbone"]): one for one in drawn.sheets}
    assert sorted(found) == sorted((name, backbone) for name, _, backbone in wanted)
    assert rows(found["coco", "alexnet"])["HashNet"] == ["0.4000"]
