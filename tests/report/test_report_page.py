from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from benchmark.files.rounding import rounded, rounded_all
from benchmark.report.check import check
from benchmark.report.context import Context
from benchmark.report.declared_methods import known
from benchmark.report.figures.style import COLOURS, drawing, encode, style
from benchmark.report.page import Picture, page_html, picture
from benchmark.report.page.embed import Pool, cell_json, script_json
from benchmark.report.page.points import MAX_PER_LINE, points
from benchmark.report.tables.cells import Cell, Drawn, Figure, Gap, Sheet, text_cell
from benchmark.report.write import collect, render
from benchmark.store.record import Artifacts, CurvePoint, Environment, Failure, ProtocolFacts, Record, Score
from benchmark.store.store import Store
from tests.programs import PATIENCE
from tests.spec.test_spec import SPEC

EVIL = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1> | 5 % & \\input{x} \"'"
ARTIFACTS = "table1,scarcity,ood,curves,cost,audit"
PROTOCOL = ProtocolFacts(
    text="digits-20-50 v1: 20 queries a class",
    rules={"ties": "expected", "evil": EVIL},
    rules_text="mAP@all, ties averaged over all orders",
    queries=200,
    database=1597,
    labelled=500,
    hidden=0,
    tuning=0,
    label_rule="all",
    selection_text="the model after the last update is scored",
)
PLACE = Environment(
    versions={"python": "3.11", "torch": EVIL},
    commit="0123456789abcdef",
    dirty=False,
    platform="Linux",
    cpu="two cores",
    cores=2,
    threads=1,
    device="cpu",
    precision="fp32",
    memory_gib=4.0,
)


def made(value: float | None, **changes: Any) -> Record:
    """A record with everything that the page shows; failed for None."""
    declared = known(str(changes.get("method", SPEC.method)))  # a fit of today's version
    version = {"method_version": declared.version} if declared else {}
    spec = SPEC.model_copy(update={"params": {}, **version, **changes})
    common: dict[str, Any] = {"fit_id": spec.fit_id, "spec": spec, "environment": PLACE}
    common |= {"command": f"python -m benchmark run --methods '{EVIL}'", "finished": "2026-11-21T10:00:00"}
    labelled = round(500 * spec.label_fraction)
    common["protocol"] = PROTOCOL.model_copy(update={"labelled": labelled})
    if value is None:
        failure = Failure(kind="error", message=EVIL, traceback=f"line 1\n{EVIL}")
        return Record(state="failed", failure=failure, **common)
    scores = (
        Score(view="clean", metric="map", value=value),
        Score(view="clean", metric="p", k=100, value=0.5),
    )
    curve = tuple(CurvePoint(step=s, seconds=s / 10, map=value * s / 40, part="query") for s in (10, 20, 40))
    return Record(state="done", scores=scores, curve=curve, flags=(EVIL,), facts={EVIL: EVIL}, **common)


def some_records() -> list[Record]:
    """Two methods at two code lengths and two seeds, one length with fewer labels; one failure."""
    found = []
    for method, base in (("hashnet", 0.80), ("csq", 0.82)):
        for bits, share in ((16, 1.0), (16, 0.1), (32, 1.0)):
            for seed in (0, 1):
                value = base + bits / 1000 + seed / 100 - (0.3 if share < 1 else 0)
                found.append(made(value, method=method, bits=bits, seed=seed, label_fraction=share))
    return [*found, made(None, method="dpsh", bits=16)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "results"
    store = Store(folder)
    for record in some_records():
        store.save(record, Artifacts())
    return folder


@pytest.fixture(scope="module")
def report(results: Path) -> Path:
    """The page as `report` writes it."""
    written = render(results, results.parent / "report", ARTIFACTS)
    return next(path for path in written if path.name == "report.html")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 10,000 records."""
    specs = ({"seed": n // 4, "bits": (16, 32, 48, 64)[n % 4]} for n in range(10_000))
    records = [made((n % 997) / 1000, **changes) for n, changes in enumerate(specs)]
    path = tmp_path_factory.mktemp("many") / "report.html"
    path.write_text(page_html(Context(Store(Path("/nonexistent")), records, set()), [], {}))
    return path


def test_how_images_are_generated_is_a_table_of_the_last_look(tmp_path: Path) -> None:
    """By title, the best mAP first, the mean over seeds of the last point; what a method has not is a dash."""
    store = Store(tmp_path / "results")
    for method, value, found in (
        ("coophash", 0.9, {"diversity_generated": 0.8, "diversity_revised": 1.0, "chain_raises_f": 0.75}),
        ("coophash-gan", 0.8, {"diversity_generated": 0.5}),
    ):
        for seed in (0, 1):
            record = made(value, method=method, seed=seed)
            shift = {name: one + seed / 10 for name, one in found.items()}
            last = record.curve[-1].model_copy(update=shift)
            early = record.curve[0].model_copy(update=dict.fromkeys(found, 7.0))
            store.save(record.model_copy(update={"curve": (early, last)}), Artifacts())
    store.save(made(0.95, method="hashnet"), Artifacts())
    written = render(tmp_path / "results", tmp_path / "report", "heads")
    (path,) = [path for path in written if path.match("generation-*.md")]
    head, _, *rows = [
        line.strip("| ").split(" | ") for line in path.read_text().splitlines() if line[:1] == "|"
    ]
    first, second = (dict(zip(head, row, strict=True)) for row in rows)
    assert [first["method"], second["method"]] == ["CoopHash", "GAN-based counterpart"]
    assert first["diversity"].startswith("0.850")
    assert first["diversity, after"].startswith("1.050")
    assert first["chains that raise f"].startswith("0.800")
    assert second["diversity"].startswith("0.550")
    assert not any(char.isdigit() for char in second["diversity, after"] + second["chains that raise f"])


class Outline(HTMLParser):
    """The elements of a page, the attributes of each, and the text of scripts and styles."""

    VOID = frozenset(("meta", "input", "img", "br", "link"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inside.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def embedded(text: str, name: str = "data") -> dict[str, Any]:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_the_page_holds_every_section_table_figure_and_gap(results: Path, report: Path) -> None:
    text = report.read_text()
    outline = Outline(text)
    assert not outline.open
    _, everything = collect(results, ARTIFACTS)
    sections = [one for one in everything if one.drawn.sheets or one.drawn.figures]
    (bare,) = [one.artifact for one in everything if one not in sections]
    assert (bare.name, f"No records here for: {bare.title}." in text) == ("ood", True)
    assert 'id="ood"' not in text
    ids = [attributes.get("id") for _, attributes in outline.found]
    for one in sections:
        assert one.artifact.name in ids
        assert text.count(f'href="#{one.artifact.name}"') == 1
    sheets = [sheet for one in sections for sheet in one.drawn.sheets]
    figures = [figure for one in sections for figure in one.drawn.figures]
    gaps = [gap for one in sections for gap in one.drawn.gaps]
    assert [a["data-sheet"] for a in outline.all("table")] == [str(n) for n in range(len(sheets))]
    assert {a.get("data-figure") for a in outline.all("div")} - {None} == {figure.name for figure in figures}
    assert len(sheets) > 3
    assert len(figures) > 2
    assert gaps
    for gap in gaps:
        assert gap.what.partition(": ")[2].replace("'", "&#39;") in text
        assert (gap.sweep is not None) or gap.command.replace("'", "&#39;") in text
    assert "digits-20-50 v1: 20 queries a class" in text
    assert "ties averaged over all orders" in text
    assert "selection last: the model after the last update is scored" in text


def test_ids_are_unique_and_references_end_somewhere(report: Path) -> None:
    outline = Outline(report.read_text())
    ids = [a["id"] for _, a in outline.found if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.found:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls"):
            assert attributes.get(name, ids[0]) in ids
        for name in ("href", "clip-path"):
            target = re.fullmatch(r"(?:url\()?#([^)]*)\)?", attributes.get(name) or "")
            assert target is None or target[1] in ids


def test_nothing_is_fetched_and_only_the_pages_own_script_may_run(report: Path) -> None:
    text = report.read_text()
    outline = Outline(text)
    for _, attributes in outline.found:
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), value
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert "@import" not in text
    assert "url(http" not in text
    policy = next(a["content"] for a in outline.all("meta") if "http-equiv" in a) or ""
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        source = "".join(re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL))
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert source
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert len(outline.all("script")) == 3
    assert "unsafe" not in policy


def test_hostile_text_stays_text(report: Path) -> None:
    text = report.read_text()
    assert "<script>window" not in text
    assert "<img src=x" not in text
    assert "&lt;/script&gt;" in text  # the failure's message, in the notes of a table
    data = embedded(text)["records"]
    failure = next(row[14] for row in data["rows"] if row[14])
    assert failure == {"kind": "error", "message": EVIL, "traceback": f"line 1\n{EVIL}"}
    assert [EVIL] in data["pool"]


def test_every_cell_leads_to_its_records(results: Path, report: Path) -> None:
    data = embedded(report.read_text())
    ctx, sections = collect(results, ARTIFACTS)
    sheets = [sheet for one in sections for sheet in one.drawn.sheets]
    rows, opened = data["records"]["rows"], 0
    assert [row[0] for row in rows] == [record.fit_id for record in ctx.records]
    for sheet, cells in zip(sheets, data["sheets"], strict=True):
        for line, own in zip(sheet.rows, cells, strict=True):
            for cell, embedded_cell in zip(line, own, strict=True):
                if cell.fits:
                    opened += 1
                    assert tuple(rows[place][0] for place in embedded_cell[1]) == cell.fits
                    assert embedded_cell[0] == rounded_all(cell.values)
    assert opened > 10
    assert report.read_text().count('class="cell" data-c=') == opened


def test_a_record_is_embedded_whole(results: Path, report: Path) -> None:
    data = embedded(report.read_text())["records"]
    ctx, _ = collect(results, "table1")
    for record, row in zip(ctx.records, data["rows"], strict=True):
        assert (row[2], row[3], row[4]) == (record.spec.bits, record.spec.seed, record.state)
        assert data["pool"][row[1]]["method"] == record.spec.method
        shown = [(*data["scores"][name], value) for name, value in zip(row[6][::2], row[6][1::2])]
        assert shown == [(s.view, s.metric, s.k, rounded(s.value)) for s in record.scores]
        assert data["pool"][row[7]]["rules_text"] == PROTOCOL.rules_text
        assert data["pool"][row[8]]["versions"]["torch"] == EVIL
        assert data["pool"][row[9]] == record.command
        assert f"--methods {record.spec.method} " in row[12]
        assert f"--seeds {record.spec.seed} " in row[12]
        pool = data["pool"]
        facts = [
            (pool[name], pool[value[0]] if isinstance(value, list) else value)
            for name, value in zip(row[13][::2], row[13][1::2])
        ]
        assert dict(facts).get("updates", 0) == record.updates
        assert [name for name, _ in facts if name in record.facts] == [
            k for k, v in record.facts.items() if v
        ]


def test_the_same_records_give_the_same_bytes(results: Path, report: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from benchmark.report import render;"
        "render(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, str(results), str(tmp_path), ARTIFACTS]
    subprocess.run(command, check=True, env=environment, timeout=PATIENCE)
    assert (tmp_path / "report.html").read_bytes() == report.read_bytes()


def test_a_committed_page_is_checked_but_for_its_drawings(results: Path, tmp_path: Path) -> None:
    committed, name = tmp_path / "report", "report.html"
    render(results, committed, "scarcity")
    text = (committed / name).read_text()
    assert "<svg " in text
    (committed / name).write_text(re.sub(r"<svg .*?</svg>", "<svg ></svg>", text, flags=re.DOTALL))
    assert check(results, committed, tmp_path / "again") == []
    (committed / name).write_text(text.replace("0.8210", "0.9210"))
    assert check(results, committed, tmp_path / "again") == [f"{name}: differs"]


def test_json_cannot_end_its_script() -> None:
    content = {EVIL: [EVIL, "\u2028", "<!--", float("nan"), float("inf"), 1.5, None, True, "\ud800"]}
    text = script_json(content)
    assert not set("<>&'") & set(text)
    assert text.isascii()
    (values,) = json.loads(text).values()
    assert values == [EVIL, "\u2028", "<!--", None, None, 1.5, None, True, "\ud800"]


def test_equal_parts_are_stored_once() -> None:
    pool = Pool()
    numbers = [pool.put(value) for value in ("a", {"b": 1, "a": 2}, {"a": 2, "b": 1}, "a", [], "[]")]
    assert numbers == [0, 1, 1, 0, 2, 3]


def test_cells_without_records_do_not_open() -> None:
    assert cell_json(Cell(values=(0.5,), planned=1), {}) is None
    shown = cell_json(Cell(values=(0.5,), planned=2, fits=("a", "b"), failed=1, p=0.01), {"b": 3})
    assert shown == [[0.5], ["a", 3], 2, 1, 0, 0.01, [], ""]


def _drawn(name: str, make: Any) -> Picture:
    with drawing() as pyplot:
        figure, axes = pyplot.subplots(figsize=(3, 2), layout="constrained")
        make(axes)
        return picture(name, figure, encode(figure)[".png"])


def _lines(axes: Any) -> None:
    axes.plot([1, 2, 3], [0.1, 0.5, 0.9], label=EVIL, **style("lsh"))
    axes.axvline(2, label="_helper")
    axes.set(xlabel="bits", ylabel="mAP", title="<script>")


def test_points_are_where_they_are_drawn_and_say_what_they_are() -> None:
    shown = _drawn("a", _lines).points
    assert [text for _, _, text in shown] == [
        f"{EVIL}: bits {x}, mAP {y}" for x, y in ((1, 0.1), (2, 0.5), (3, 0.9))
    ]
    (x1, y1, _), (x2, y2, _), (x3, y3, _) = shown
    assert 0 < x1 < x2 < x3 < 1
    assert 1 > y1 > y2 > y3 > 0
    assert abs((x1 + x3) / 2 - x2) < 1e-3
    assert abs((y1 + y3) / 2 - y2) < 1e-3


def test_points_of_bars_heat_maps_and_long_lines() -> None:
    def bars(axes: Any) -> None:
        axes.barh([0, 1], [0.25, 0.75])
        axes.set_yticks([0, 1], ["itq", "lsh"])
        axes.set_xlabel("mAP")

    def heat(axes: Any) -> None:
        axes.imshow([[0.1, 0.2], [0.3, float("nan")]])
        axes.set_xticks([0, 1], ["fog", "snow"])
        axes.set_yticks([0, 1], ["itq", "lsh"])

    assert _drawn("c", lambda axes: axes.imshow([[0.1, 0.2], [0.3, 0.4]]) and axes.axis("off")).points == ()
    assert [text for _, _, text in _drawn("a", bars).points] == ["itq: mAP 0.25", "lsh: mAP 0.75"]
    assert [text for _, _, text in _drawn("b", heat).points] == [
        *("itq, fog: 0.1", "itq, snow: 0.2", "lsh, fog: 0.3", "lsh, snow: no value")
    ]
    with drawing() as pyplot:
        figure, axes = pyplot.subplots()
        axes.plot(range(10_000), range(10_000), label="long")
        figure.canvas.draw()
        assert len(points(figure)) <= MAX_PER_LINE + 1


def test_a_drawing_has_no_styles_of_its_own_and_shares_no_id() -> None:
    one, other = _drawn("a", _lines), _drawn("b", _lines)
    for drawn in (one, other):
        assert "style=" not in drawn.svg
        assert "<script" not in drawn.svg
        assert "&lt;script&gt;" in drawn.svg
        assert drawn.styles
        assert not any("#000000" in text or "url(" in text for text in drawn.styles.values())
    ids = [set(re.findall(r' id="([^"]+)"', drawn.svg)) for drawn in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert one == _drawn("a", _lines)


def test_a_drawing_too_large_for_svg_is_a_picture() -> None:
    def cloud(axes: Any) -> None:
        for place in range(60):
            axes.plot([place + n % 7 for n in range(400)], [n * 1.37 % 11 for n in range(400)], "o-")

    shown = _drawn("a", cloud)
    assert shown.svg == ""
    assert shown.uri.startswith("data:image/png;base64,")


# ---- In a real browser ---------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """An installed Chromium, driven by Playwright."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: the report's page is not tried in a browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("Playwright is not installed: the report's page is not tried in a browser")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=1000 * PATIENCE)
        yield opened
        opened.close()


class Visit:
    """A page opened from its file: what it said on the console and what it asked for is kept."""

    def __init__(self, browser: Any, path: Path, width: int = 1300, colours: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=colours, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def column(self, number: int, table: int = 0) -> list[str]:
        """The texts of a column of a table, top to bottom, of the rows that are shown."""
        script = (
            "([t, n]) => [...document.querySelectorAll(`table[data-sheet='${t}'] tbody tr:not([hidden])`)]"
            ".map(row => row.cells[n].textContent)"
        )
        found: list[str] = self.page.evaluate(script, [table, number])
        return found

    def end(self, path: Path) -> None:
        """Nothing was said, nothing but the file was asked for, nothing of a record ran."""
        own = path.as_uri()
        assert self.page.evaluate("window.pwned") is None
        assert self.said == []
        assert [url for url in self.asked if url.split("#")[0] != own and not url.startswith("data:")] == []
        self.context.close()


def faults(visit: Visit) -> list[str]:
    """Serious and critical findings of axe-core, one line each."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    )
    found = axe.Axe().run(visit.page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_tables_sort_and_filter(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    page = visit.page
    assert visit.column(0) == ["CSQ", "HashNet", "DPSH"]
    head = page.locator("table[data-sheet='0'] thead button").nth(1)
    head.click()  # numbers: the largest first, gaps last
    assert visit.column(0) == ["CSQ", "HashNet", "DPSH"]
    assert page.locator("table[data-sheet='0'] th[aria-sort='descending']").count() == 1
    head.press("Enter")
    assert visit.column(0)[:2] == ["HashNet", "CSQ"]
    head.click()
    assert visit.column(0) == ["CSQ", "HashNet", "DPSH"]
    box = page.locator(".sheet input[type=search]").first
    box.fill("HASHN")
    assert visit.column(0) == ["HashNet"]
    assert page.locator(".sheet .shown").first.text_content() == "1 of 3 rows"
    box.fill("")
    assert len(visit.column(0)) == 3
    visit.end(report)


def test_a_cell_opens_its_records_by_mouse_and_by_keyboard(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    page, ids = visit.page, [r.fit_id for r in some_records()]
    page.locator("table[data-sheet='0'] tbody tr").first.locator("button.cell").first.click()
    dialog = page.locator("dialog[open]")
    text = dialog.text_content()
    assert "CSQ: 16 bits" in text
    assert "mAP@all, ties averaged over all orders" in text
    assert sum(fit in text for fit in ids) == 2
    dialog.locator("summary").first.click()
    dialog.locator("h4").first.wait_for()
    text = dialog.text_content()
    for shown in (
        "python -m benchmark run --methods csq",
        EVIL,
        "0123456789abcdef",
        "two cores",
        "0.8360",
    ):
        assert shown in text
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.locator("dialog[open]").count() == 0
    failed = page.locator("td.failed button.cell").first
    failed.focus()
    page.keyboard.press("Enter")
    assert f"error: {EVIL}" in page.locator("dialog[open]").text_content()
    assert "line 1" in page.locator("dialog[open] .alarm pre").text_content()
    page.locator("#close").click()
    assert page.evaluate("document.activeElement.className") == "cell"
    visit.end(report)


@pytest.mark.parametrize("closed", [False, True])
def test_a_table_is_copied_as_latex_and_csv(browser: Any, report: Path, *, closed: bool) -> None:
    """By mouse and keyboard, from a file; `closed`: where the page may not write to the clipboard itself."""
    visit = Visit(browser, report)
    page = visit.page
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if closed:
        page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
    title = page.locator("#t-0").text_content()
    for kind, press in (("LaTeX", "click"), ("CSV", "press")):
        button = page.locator("[data-copy]", has_text=kind).first
        if press == "click":
            button.click()
        else:
            page.locator("[data-copy]").first.focus()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        page.locator("#said", has_text=": copied").wait_for(state="attached")
        assert page.locator("#said").text_content() == f"Copy {kind} of {title}: copied"
        assert page.evaluate("document.activeElement.dataset.copy") is not None
        page.evaluate("document.getElementById('said').textContent = ''")
        text = page.evaluate("navigator.clipboard.readText()")
        if kind == "LaTeX":
            assert text.startswith("% needs")
            assert r"HashNet & \underline{0.8210 $\pm$ 0.0071" in text
            assert text.count("\n") > 10  # its comments end with their lines
            assert r"\label{tab:table1-" in text
        else:
            lines = list(csv.reader(io.StringIO(text)))
            assert lines[0] == ["method", "16 bits", "16 bits sd", "32 bits", "32 bits sd"]
            assert lines[1][:2] == ["csq", "0.841"]
            assert float(lines[1][2]) == pytest.approx(0.0070711, abs=1e-6)
            assert lines[3] == ["dpsh", "failed", "", "", ""]
    assert page.locator("dialog[open]").count() == 0
    visit.end(report)


def test_every_table_has_its_buttons(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    count = visit.page.locator("table[data-sheet]").count()
    assert visit.page.locator(".tools:not([hidden]) [data-copy]").count() == 2 * count > 4
    assert visit.page.locator("[data-copy]").first.text_content() == "Copy LaTeX"
    names = [one.get_attribute("aria-label") for one in visit.page.locator("[data-copy]").all()]
    assert len(set(names)) == len(names)
    visit.page.locator(".sheet input[type=search]").first.fill("csq")  # the name that its title stands for
    assert visit.column(0) == ["CSQ"]
    visit.end(report)


def test_a_records_link_opens_it(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    fit = some_records()[3].fit_id
    visit.page.evaluate(f"location.hash = 'fit={fit}'")
    visit.page.locator("dialog[open] summary", has_text=fit).wait_for()
    visit.end(report)


def test_figures_show_values(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    page = visit.page
    data = embedded(report.read_text(), "hover")
    stage = page.locator(".stage").first
    shown = data[stage.get_attribute("data-figure")]
    x, y, _ = shown[0]
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + x * box["width"] + 2, box["y"] + y * box["height"] + 1)
    assert page.locator("#tip").text_content() in [one[2] for one in shown]
    assert page.locator("#tip").is_visible()
    page.mouse.move(2, 2)
    assert not page.locator("#tip").is_visible()
    page.locator("figure .scroll[role=application]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").text_content() in [one[2] for one in shown]
    assert page.locator("#tip").is_visible()
    behind = page.locator("details.behind").first
    behind.locator("summary").click()
    behind.locator("tbody tr").first.wait_for()
    visit.end(report)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, report: Path, colours: str) -> None:
    visit = Visit(browser, report, colours=colours)
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.locator("details.behind tbody tr").first.wait_for()
    assert faults(visit) == []
    page.locator("td.failed button.cell").first.click()
    assert faults(visit) == []
    visit.end(report)


def test_dark_follows_the_system_and_the_toggle(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, colours="dark")
    page = visit.page
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    for expected in ("light", "dark", "auto"):
        page.locator("#theme").click()
        assert page.locator("#theme").text_content() == f"Theme: {expected}"
        assert (page.evaluate(colour) == dark) is (expected != "light")
    assert page.evaluate("getComputedStyle(document.querySelector('.stage svg')).color") == page.evaluate(
        "getComputedStyle(document.body).color"
    )
    visit.end(report)


def test_a_phone_scrolls_tables_not_the_page(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, width=390)
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#menu").click()
    page.locator("nav a[href='#records']").click()
    assert not page.locator("nav").is_visible()
    page.locator("#all-records button.cell").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.getElementById('detail-body').scrollWidth <= 390")
    visit.end(report)


def test_ten_thousand_records(browser: Any, many: Path) -> None:
    visit = Visit(browser, many)
    page, cells = visit.page, "#all-records tbody tr"
    assert page.locator(cells).count() == 50  # a page of them: the browser never holds all
    pager = page.locator(".pager span")
    assert pager.text_content() == "1 to 50 of 10,000 records"
    page.locator("#all-records thead button", has_text="mAP").click()
    assert page.locator(cells).first.locator("td").nth(5).text_content() == "0.9960"
    page.locator(".filters input").fill(" 32 ")
    page.locator("label", has_text="bits").locator("select").select_option("48")
    assert pager.text_content().endswith("(10,000 in all)")
    page.locator(".filters input").fill("")
    assert pager.text_content() == "1 to 50 of 2,500 records (10,000 in all)"
    page.locator(".pager button", has_text="Last").click()
    assert pager.text_content() == "2,451 to 2,500 of 2,500 records (10,000 in all)"
    page.locator("#all-records button.cell").last.click()
    assert "48 bits" in page.locator("#detail-title").text_content()
    visit.end(many)


def test_a_figure_without_a_picture_still_has_its_values() -> None:
    sheet = Sheet("s", "t", ("method", "mAP"), ((text_cell("itq"), Cell(values=(0.5,), planned=1)),))
    figure = Figure("f", "Title", "Caption", draw=lambda: None, data=sheet)
    drawn = Drawn((sheet,), (figure,), (Gap("what <b>", "command & more"),))
    ctx = Context(Store(Path("/nonexistent")), [made(0.5)], set())
    _, (section,) = None, [one for one in _artifacts() if one.name == "table1"]
    text = page_html(ctx, [(section, drawn)], {})
    assert embedded(text)["behind"]["f"]["rows"] == [["ITQ", "0.5000"]]
    assert "what &lt;b&gt;" in text
    assert "command &amp; more" in text


def _artifacts() -> Any:
    from benchmark.report.artifact import artifacts

    return artifacts()


def test_each_method_has_the_colour_of_the_figures(report: Path) -> None:
    text = report.read_text()
    colour = style("hashnet")["color"]
    assert f".m{COLOURS.index(colour)}{{--method:{colour}}}" in text
    assert re.search(rf'class="chip m{COLOURS.index(colour)}"><span title="hashnet">HashNet</span>', text)
