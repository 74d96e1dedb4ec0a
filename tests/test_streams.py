"""Output that nobody reads, or that cannot be written, costs no fit; only a full disk changes the exit code."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from benchmark.files.streams import Patient, patient_streams
from benchmark.store.store import Store
from tests.programs import Held, Program

RUN = ("run", "--methods", "held", "--bits", "8,16", "--epochs", "1", "--tracking-uri", "none")


def _first_line_only(path: Path, gone: threading.Event) -> threading.Thread:
    """A reader like `head -1`."""

    def read() -> None:
        with path.open() as file:
            file.readline()
        gone.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_reader_that_goes_away_costs_no_fit(tmp_path: Path, held: Held, executor: str) -> None:
    pipe, results, gone = tmp_path / "pipe", tmp_path / "runs", threading.Event()
    os.mkfifo(pipe)
    reader = _first_line_only(pipe, gone)
    # The log is where standard error goes: both are the pipe, as with `2>&1 | head -1`.
    command = (*RUN, "--results", results, "--executor", executor, "--workers", "1")
    command = command[:-2] if executor == "serial" else command
    with Program(*command, log=tmp_path / "unused", before=_Into(str(pipe))) as program:
        held.wait_for("8-0")
        assert gone.wait(60)
        held.open()
        assert program.wait() == 0
    reader.join(60)
    assert {record.state for record in Store(results).records()} == {"done"}
    assert len(list(Store(results).records())) == 2


class _Into:
    """Standard output and error go into a file; nothing: they are closed."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> None:
        for number in (1, 2):
            os.close(number)
        if self.path:
            place = os.open(self.path, os.O_WRONLY)
            for number in (1, 2):
                if place != number:
                    os.dup2(place, number)
        else:
            sys.stdout = sys.stderr = None  # what Python makes of closed ones when it starts


@pytest.mark.parametrize(("path", "code"), [("", 0), ("/dev/full", 1)], ids=["closed", "full"])
def test_nothing_to_write_to(tmp_path: Path, path: str, code: int) -> None:
    if path and not Path(path).exists():
        pytest.skip(f"no {path} here")
    command = (
        "run",
        "--methods",
        "lsh,itq",
        "--bits",
        "8",
        "--tracking-uri",
        "none",
        "--results",
        tmp_path / "r",
    )
    with Program(*command, log=tmp_path / "log", before=_Into(path)) as program:
        assert program.wait() == code
    records = list(Store(tmp_path / "r").records())
    assert [record.state for record in records] == ["done", "done"]
    # A file that takes the number of a closed stream would hold what is printed.
    assert all(file.read_bytes()[:1] == b"{" for file in tmp_path.rglob("record.json"))


class _Failing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.asked = error, 0

    def write(self, text: str) -> int:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (BrokenPipeError(32, "Broken pipe"), ""),
        (OSError(5, "Input/output error"), ""),  # the terminal hung up
        (ValueError("I/O operation on closed file"), ""),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_stream_goes_silent_once(error: Exception, lost: str) -> None:
    below = _Failing(error)
    stream = Patient(below)
    assert stream.write("abc") == 3
    assert stream.write("def") == 3
    stream.flush()
    assert below.asked == 1
    assert stream.lost == lost


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(encoding: str) -> None:
    raw = io.BytesIO()
    stream = Patient(io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    stream.write("café \udce9 猫\n")
    assert stream.failure is None
    expected = "café \udce9 猫\n".encode(encoding, "backslashreplace")
    assert raw.getvalue() == expected


def test_streams_are_put_back_also_after_an_error() -> None:
    before = sys.stdout, sys.stderr
    seen = []

    def fails() -> None:
        with patient_streams() as streams:
            seen.append((sys.stdout, sys.stderr) == streams)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == [True]
    assert (sys.stdout, sys.stderr) == before


def test_a_terminal_without_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.cli import main

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert main(["list", "metrics"]) == 0
    assert main(["list", "protocols"]) == 0
    raw.getvalue().decode("ascii")
    assert b"mAP" in raw.getvalue()
