"""The command line in processes of its own, and what they wait for: a fit that holds, a file operation that kills.

Starting Python and importing torch takes longer than most of what a test lets a process do. So the processes are
forked from one that has imported everything once; `python -m benchmark` itself is started in
`test_authoring.py` and `test_sweeps.py`.
"""

from __future__ import annotations

import fnmatch
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmark.cli import main

#: Seconds after which what a test waits for is taken never to come: far more than a slow machine needs.
PATIENCE = float(os.environ.get("TEST_PATIENCE", 900.0))

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests._preloaded"])


def wait_until(happened: Callable[[], object], otherwise: Callable[[], str] = lambda: "") -> None:
    """Return once something has happened; AssertionError with what `otherwise` says when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.01)


class Program:
    """One run of the command line: `with Program("run", ..., log=path) as driver`. Killed where the block ends.

    `log` gets what it prints to standard error and, unless `out` is given, to standard output; `err` is for
    standard error that goes elsewhere. `before` is called in the process first; it must be picklable.
    """

    def __init__(
        self,
        *arguments: object,
        log: Path,
        out: Path | None = None,
        err: Path | None = None,
        cwd: Path | None = None,
        before: Callable[[], None] = bool,
    ) -> None:
        self.log = log
        log.write_bytes(b"")
        given = (
            [*map(str, arguments)],
            str(out or log),
            str(err or log),
            {**os.environ},
            str(cwd or Path.cwd()),
            before,
        )
        self._process = _SERVER.Process(target=_run, args=given)

    def __enter__(self) -> Program:
        self._process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self._process.pid or 0)

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit code; minus the signal for a killed process."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, f"still running: {self.text()}"
        return int(self._process.exitcode)

    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()


def _run(
    arguments: list[str],
    out: str,
    log: str,
    environment: dict[str, str],
    cwd: str,
    before: Callable[[], None],
) -> None:
    for number, name in ((1, out), (2, log)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    before()
    raise SystemExit(main(arguments))


class Gate:
    """In the program, before it begins: say that its output is open, and wait until the gate is."""

    def __init__(self, folder: Path) -> None:
        self.ready, self.go = folder / "ready", folder / "go"

    def __call__(self) -> None:
        self.ready.touch()
        wait_until(self.go.exists)

    def open(self, then: Callable[[], object]) -> None:
        """Once the program has its output, do something and let it begin."""
        wait_until(self.ready.exists)
        then()
        self.go.touch()


class DieAt:
    """SIGKILL to the own process right before the n-th file operation of a kind: `DieAt("os.rename", "*/a.npz")`.

    Kinds are Python's audit events: `open`, `os.rename` (matched by its target), `os.remove`, `sqlite3.connect`.
    """

    def __init__(self, event: str, pattern: str, nth: int = 1) -> None:
        self.event, self.pattern, self.left = event, pattern, nth

    def __call__(self) -> None:
        """Begin to watch. It cannot be undone."""
        sys.addaudithook(self._watch)

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != self.event:
            return
        path = arguments[event == "os.rename"]
        if isinstance(path, (str, bytes, os.PathLike)) and fnmatch.fnmatch(os.fsdecode(path), self.pattern):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


#: HashNet under another name: every fit holds before its fourth update. See `Held`.
HELD = """
import os
import time
from pathlib import Path

from benchmark.methods.hashnet import HashNet


class Held(HashNet):
    info = HashNet.info.model_copy(update={"name": "held"})

    def step(self, batch):
        folder = Path(os.environ["HELD"])
        if batch.step == 3 and folder.is_dir():
            mark = folder / f"{self.ctx.task.bits}-{self.ctx.fit_spec.seed}"
            mark.touch()
            while mark.exists() and not self.ctx.should_stop():
                time.sleep(0.005)
        return super().step(batch)
"""


class Held:
    """Fits of the method `held` (the fixture of this name installs it), which hold until a test lets them go on.

    A fit that holds leaves a file `BITS-SEED` in the folder, and goes on when that is gone or a stop is asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wait_for(self, *names: str, log: Callable[[], str] = lambda: "") -> None:
        """Return once all these fits hold."""
        wait_until(lambda: all((self.folder / name).exists() for name in names), log)

    def release(self, name: str) -> None:
        """Let one fit go on."""
        (self.folder / name).unlink()

    def open(self) -> None:
        """Let everything go on; nothing holds from now on."""
        shutil.rmtree(self.folder)
