"""Output that nobody reads: training goes on, every record is written, the exit code is what it would have been."""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.files.streams import Quiet, guard
from benchmark.sweep.stop import Stop
from tests.programs import Gate, Held, Program, wait_until

Plugin = Callable[..., Path]
ONE = ("run", "--methods", "lsh", "--bits", "8", "--tracking-uri", "none")
HELD = ("run", "--methods", "held", "--bits", "8", "--epochs", "1", "--tracking-uri", "none")

#: Prints more than a pipe holds, to all that it knows of, and closes what it can.
LOUD = """
import logging
import sys
import warnings

from benchmark.methods.lsh import LSH


class Loud(LSH):
    info = LSH.info.model_copy(update={"name": "loud"})

    def learn(self, features, data):
        for stream in (sys.stdout, sys.stderr, sys.__stderr__):
            print("Straße, \\udcff and \\ud800 " * 20_000, file=stream)
        warnings.warn("Straße", stacklevel=1)
        logging.getLogger("loud").error("Straße \\udcff")
        sys.stdout.close()
        sys.stderr.close()
        return super().learn(features, data)
"""


def records(results: Path) -> list[Path]:
    return [*results.glob("digits/*/*/record.json")]


class Pipe:
    """A pipe with a name, which processes can be told to print into."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path, self._reader = path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def fill(self) -> int:
        """Write until it takes no more. Returns the number of bytes."""
        writer, count = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK), 0
        try:
            while True:
                count += os.write(writer, b"." * 512)
        except BlockingIOError:
            return count
        finally:
            os.close(writer)

    def read(self) -> bytes:
        """What is in it now."""
        try:
            return os.read(self._reader, 1 << 20)
        except BlockingIOError:
            return b""

    def read_all(self) -> bytes:
        """Everything, until those who write have closed it."""
        fcntl.fcntl(self._reader, fcntl.F_SETFL, 0)
        return b"".join(iter(functools.partial(os.read, self._reader, 1 << 16), b""))

    def close(self) -> None:
        """No one reads any longer."""
        if self._reader >= 0:
            os.close(self._reader)
        self._reader = -1


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path / "pipe")
    yield made
    made.close()


def _closed(*numbers: int) -> None:
    """As Python is where the shell closed them: `>&-`."""
    for number in numbers:
        os.close(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if number in numbers:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)


def _encoded(encoding: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=encoding, errors="strict")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("end", "executor"),
    [
        *((end, "serial") for end in ("closed", "left", "full", "disk")),
        *(pytest.param(end, "processes", marks=pytest.mark.slow) for end in ("left", "full")),
    ],
)
def test_a_sweep_whose_output_goes_nowhere_is_finished(
    tmp_path: Path, plugin: Plugin, pipe: Pipe, monkeypatch: pytest.MonkeyPatch, end: str, executor: str
) -> None:
    plugin("loud", LOUD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    flags = ("--results", tmp_path / "runs", "--executor", executor, "--workers", "1")
    log = Path("/dev/full") if end == "disk" else pipe.path
    gate = Gate(tmp_path)
    before = functools.partial(_closed, 1, 2) if end == "closed" else gate
    command = ("run", "--methods", "loud,lsh", "--bits", "8", *flags)
    command = command if end == "closed" else (*command, "--tracking-uri", "none")
    with Program(*command, log=tmp_path / "none", out=log, err=log, before=before) as program:
        if end != "closed":
            gate.open({"left": pipe.close, "full": pipe.fill, "disk": bool}[end])
        if end == "full":  # nobody reads; both fits are done all the same
            wait_until(lambda: len(records(tmp_path / "runs")) == 2)
            pipe.close()
        assert program.wait() == 0
    assert len(records(tmp_path / "runs")) == 2
    assert all(json.loads(path.read_text())["state"] == "done" for path in records(tmp_path / "runs"))
    if end == "closed":
        # A file that takes the number of a closed stream would hold what is printed.
        assert (tmp_path / "runs" / "mlflow.db").read_bytes().startswith(b"SQLite")


def _first_line_only(path: Path, gone: threading.Event) -> threading.Thread:
    """A reader like `head -1`."""

    def read() -> None:
        with path.open() as file:
            file.readline()
        gone.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_a_reader_that_goes_away_costs_no_fit(tmp_path: Path, held: Held) -> None:
    fifo, results, gone = tmp_path / "fifo", tmp_path / "runs", threading.Event()
    os.mkfifo(fifo)
    reader = _first_line_only(fifo, gone)
    with Program(*HELD, "--results", results, log=tmp_path / "unused", out=fifo, err=fifo) as program:
        held.wait_for("8-0")
        assert gone.wait(60)
        held.open()
        assert program.wait() == 0
    reader.join(60)
    assert len(records(results)) == 1


def test_a_reader_that_comes_back_gets_every_line(tmp_path: Path, pipe: Pipe) -> None:
    command, gate, filled = (*ONE, "--results", tmp_path / "runs"), Gate(tmp_path), list[int]()
    with Program(*command, log=tmp_path / "none", out=pipe.path, err=pipe.path, before=gate) as program:
        gate.open(lambda: filled.append(pipe.fill()))
        wait_until(lambda: records(tmp_path / "runs"))
        text = pipe.read_all()
        assert program.wait() == 0
    assert text[: filled[0]] == b"." * filled[0]
    lines = text[filled[0] :].decode().splitlines()
    assert lines[0] == "1 fits to run, 0 done before"
    assert lines[-1].startswith("report:  ")


def test_a_terminal_that_goes_away_costs_no_fit(tmp_path: Path, held: Held) -> None:
    master, slave = os.openpty()
    name = Path(os.ttyname(slave))
    command = (*HELD, "--results", tmp_path / "runs")
    with Program(*command, log=tmp_path / "none", out=name, err=name) as program:
        held.wait_for("8-0")
        os.close(slave)
        os.close(master)
        held.open()
        assert program.wait() == 0
    assert len(records(tmp_path / "runs")) == 1


def test_a_terminal_that_is_stopped_costs_no_fit(tmp_path: Path) -> None:
    """Control-S: what is printed then waits for Control-Q, and fits do not."""
    master, slave = os.openpty()
    name = Path(os.ttyname(slave))
    os.write(master, b"\x13")
    with Program(*ONE, "--results", tmp_path / "runs", log=tmp_path / "none", out=name, err=name) as program:
        wait_until(lambda: records(tmp_path / "runs"))
        os.write(master, b"\x11")
        text = b""
        while b"records: " not in text:
            text += os.read(master, 1 << 16)
        os.close(slave)
        os.close(master)
        assert program.wait() == 0


def test_nohup_is_heeded(tmp_path: Path, held: Held) -> None:
    ignored = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    command = (*HELD, "--results", tmp_path / "runs")
    with Program(*command, log=tmp_path / "log", before=ignored) as program:
        held.wait_for("8-0", log=program.text)
        program.send(signal.SIGHUP)
        held.open()
        assert program.wait() == 0
    assert len(records(tmp_path / "runs")) == 1


def test_a_terminal_that_closes_sends_more_than_one_signal() -> None:
    stop, notes = Stop(), list[str]()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with stop.listening(notes.append):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            assert stop.name == "SIGHUP"
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(notes) == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_the_encoding_lacks(tmp_path: Path, plugin: Plugin, encoding: str) -> None:
    plugin("loud", LOUD)
    results = tmp_path / "Straße-図"
    command = ("run", "--methods", "loud", "--bits", "8", "--tracking-uri", "none", "--results", results)
    before = functools.partial(_encoded, encoding)
    with Program(*command, log=tmp_path / "log", before=before) as program:
        assert program.wait() == 0, program.text()
    assert len(records(results)) == 1


@pytest.mark.parametrize("arguments", [("list", "metrics"), ("--help",), ("status", "--results", ".")])
def test_commands_that_print_end_quietly(tmp_path: Path, pipe: Pipe, arguments: tuple[str, ...]) -> None:
    log = tmp_path / "log"
    gate = Gate(tmp_path)
    with Program(*arguments, log=log, out=pipe.path, cwd=tmp_path, before=gate) as program:
        gate.open(pipe.close)
        assert program.wait() == 0
    assert log.read_text() == ""
    with Program(*arguments, log=log, out=Path("/dev/full"), cwd=tmp_path) as program:
        assert program.wait() == (0 if arguments == ("--help",) else 1)
    assert log.read_text() == "error: standard output cannot be written: No space left on device\n"


def test_the_command_itself() -> None:
    command = [sys.executable, "-m", "benchmark", "list", "metrics"]
    closed = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, check=False)
    assert (closed.returncode, closed.stdout, closed.stderr) == (0, b"", b"")
    head = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert head.stdout is not None
    head.stdout.close()
    assert head.communicate()[1] == ""
    assert head.returncode == 0


def test_a_full_disk_is_tried_again(tmp_path: Path) -> None:
    class Disk:
        closed, room = False, 3

        def __init__(self, path: Path) -> None:
            self.file = path.open("wb", buffering=0)
            self.buffer = self

        def fileno(self) -> int:
            return self.file.fileno()

        def write(self, data: memoryview) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "full")
            return self.file.write(data[: self.room])

    disk = Disk(tmp_path / "file")
    quiet = Quiet(disk, None)
    assert quiet.write(b"one") == 3
    disk.room = 0
    assert quiet.write(b"two") == 3
    assert quiet.failed is not None
    disk.room = 2
    assert quiet.write(b"three") == 5
    disk.file.close()
    assert (tmp_path / "file").read_bytes() == b"onethree"


def test_streams_of_others_are_left_alone() -> None:
    before = sys.stdout, sys.stderr
    assert guard() == []
    assert (sys.stdout, sys.stderr) == before
