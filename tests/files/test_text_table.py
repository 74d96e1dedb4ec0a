"""Tables on terminals of every width, and in pipes: every name and number stands whole."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from benchmark.files.text_table import stacked, table, wrapped
from benchmark.fit.runtime import Progress
from benchmark.sweep.display import Bars, Lines, make_display
from tests.programs import Gate, Program

WIDTHS = (20, 40, 60, 80, 200)
NUMBER = re.compile(r"(?<![\w.,])[-+]?\d[\d.,]*(?:e[-+]?\d+)?(?![\w.])")
HEAD = ("method", "mAP", "images", "id", "rule")
ROWS = [
    ("hashnet", "0.1234", "1,234,567", "4ba0d218266797fbfc4", "at most 5,000 of the list, ties by position"),
    ("数字のハッシュ", "-", "12", "77", ""),
]


def numbers(text: str) -> set[str]:
    return {found.strip(".,") for found in NUMBER.findall(text)}


@pytest.mark.parametrize("width", [5, 10, *WIDTHS])
def test_every_cell_stands_whole(width: int) -> None:
    text = table(HEAD, ROWS, width, left=["rule"], fold="rule")
    words = re.split(r"[\s]+", text)
    for cell in (cell for row in ROWS for cell in row):
        assert all(any(found.strip(",") == word.strip(",") for found in words) for word in cell.split())
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in text.splitlines())


def test_a_table_with_room_has_columns() -> None:
    assert table(HEAD, ROWS, None, left=["rule"]) == (
        "method             mAP     images                   id  rule\n"
        "hashnet         0.1234  1,234,567  4ba0d218266797fbfc4  at most 5,000 of the list, ties by position\n"
        "数字のハッシュ       -         12                   77"
    )
    assert table(HEAD, ROWS, 500, fold="rule", left=["rule"]) == table(HEAD, ROWS, left=["rule"])


def test_a_long_text_is_wrapped_in_its_column() -> None:
    lines = table(HEAD, ROWS, 80, left=["rule"], fold="rule").splitlines()
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= 80
    assert {line.index(word) for line, word in zip(lines, ("rule", "at most"))} == {56}
    assert lines[2].strip() == "list, ties by position"


def test_rows_are_stacked_without_empty_cells() -> None:
    text = stacked(("a", "b", "c", "d"), [("x", "1", "", "3"), ("y", "22222", "3", "4")], 12)
    assert text == "x, b 1, d 3\ny, b 22222,\n  c 3, d 4"
    assert wrapped("数字 ab cd", 5) == ["数字", "ab cd"]


@pytest.mark.parametrize("width", WIDTHS)
def test_live_bars_take_a_second_line(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    display = make_display(console)
    if width < 60:
        assert isinstance(display, Lines)
        return
    assert isinstance(display, Bars)
    display._progress.start = lambda: None  # type: ignore[method-assign]
    display.sweep_started(12, 3)
    display.fit_started(1, "coophash cifar10-jpeg-of-long-name 64b 0.1 s0")
    event = Progress("train", 1234, 56789, 12.3, 0.123456, 123456.0, 123456.0)
    display.fit_progress(1, event)
    console.print(display._progress.get_renderable())
    words = console.file.getvalue().split()  # type: ignore[attr-defined]
    assert {"1234/56789", "12.3", "0.1235", "123,456", "34:17:36", "64b", "s0"} <= set(words)


def on_a_terminal(tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch, *command: object) -> str:
    """What a command prints on a terminal of a width."""
    monkeypatch.setenv("COLUMNS", str(width))
    folder = tmp_path / str(width)
    folder.mkdir()
    master, slave = os.openpty()
    gate, name, text = Gate(folder), Path(os.ttyname(slave)), b""
    with Program(*command, log=folder / "log", out=name, before=gate) as program:
        gate.open(lambda: os.close(slave))
        try:
            while piece := os.read(master, 1 << 16):
                text += piece
        except OSError:  # the program has ended
            pass
        os.close(master)
        assert program.wait() == 0, program.text()
    return text.decode().replace("\r\n", "\n")


def test_run_score_and_audit_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: object
) -> None:
    generator, names = np.random.default_rng(0), ("query", "database")
    for name in ("one", "two"):
        codes = {f"{side}_codes": generator.choice([-1, 1], (30, 16)) for side in names}
        labels = {f"{side}_labels": np.arange(30) % 3 for side in names}
        np.savez(tmp_path / f"{name}.npz", **codes, **labels)
    run = (
        "run",
        "--methods",
        "lsh,itq",
        "--bits",
        "8",
        "--tracking-uri",
        "none",
        "--results",
        tmp_path / "runs",
    )
    score = ("score", tmp_path / "one.npz", "--against", tmp_path / "two.npz", "--conventions", "all")
    score = (*score, "--bootstrap", "20", "--at", "3,12345")
    for command in (run, score, ("audit", "digits", "--no-near")):
        code, whole, _ = run_cli(*command)  # type: ignore[operator]
        assert code == 0
        for width in WIDTHS:
            folder = tmp_path / command[0]
            folder.mkdir(exist_ok=True)
            found = on_a_terminal(folder, width, monkeypatch, *command)
            if command is run:
                assert set(re.findall(r"│ (0\.\d{4}) │", whole)) <= numbers(found)
                whole = re.sub(r"1\.\d{3} s", "", whole)
                assert numbers(re.sub(r"(?s)protocol .*", "", found)) <= numbers(whole)
            else:
                assert numbers(whole) <= numbers(found), width
            assert "…" not in found
