"""Standard output and error that never cost what is being computed, whatever becomes of their reader."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import queue
import select
import stat
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: Seconds that a reader who has stopped reading is waited for; from then on a thread does the waiting.
PATIENCE = 0.5
#: Pieces of standard error that are held for such a reader; what comes then is left out.
HELD = 10_000


class Quiet(io.RawIOBase):
    """The bytes of one standard stream. Writing never raises and never waits for long.

    A pipe or terminal that is gone is replaced by the null device, for libraries and new processes too. A file
    that takes nothing more (a full disk) is tried again with each piece; `failed` keeps the error.
    """

    def __init__(self, stream: Any, limit: int | None) -> None:
        """`limit`: pieces that are held at most for a reader who has stopped reading `stream`."""
        self._stream, self._number = (
            stream,
            int(stream.fileno()),
        )  # the stream is kept: it would close the descriptor
        self._raw = getattr(stream.buffer, "raw", stream.buffer)  # PYTHONUNBUFFERED: there is no buffer
        mode = os.fstat(self._number).st_mode
        self._read = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or self.isatty()  # by somebody, who may leave
        self._limit, self._process = limit, os.getpid()
        self._queue: queue.SimpleQueue[tuple[bytes, threading.Event] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._late = self._gone = False
        self.failed: OSError | None = None
        self.waits = False

    def write(self, data: Any) -> int:
        """Write all of it, now or later. Returns its length."""
        content = bytes(data)
        if not (self._read and self.waits) or self._process != os.getpid():  # a fork has no thread
            self._put(content)
        elif not (self._late and self._limit is not None and self._queue.qsize() >= self._limit):
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="output", daemon=True)
                self._thread.start()
            done = threading.Event()  # one each: a signal handler may print while the same thread waits here
            self._queue.put((content, done))
            self._late = not (self._late or done.wait(PATIENCE)) or self._late
        return len(content)

    def drain(self) -> None:
        """Wait until everything is written or the reader is gone; from then on writing is direct."""
        self.waits, thread, self._thread = False, self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            self._put(item[0])
            item[1].set()
            self._late = self._late and not self._queue.empty()

    def _put(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest and not self._gone:
            try:
                written = self._raw.write(rest)
                if written is None:  # another program has made it non-blocking
                    select.select([], [self._number], [])
                rest = rest[written or 0 :]
            except OSError as error:
                if not self._read:
                    self.failed = error
                    return
                self._leave()
            except ValueError:  # closed by a plug-in
                self._gone = True

    def _leave(self) -> None:
        self._gone = True
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._number, inheritable=True)
            os.close(null)

    def fileno(self) -> int:
        """The descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Whether a terminal reads it."""
        return os.isatty(self._number)

    def writable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Stay open: a plug-in that closes a standard stream must not end the others' output."""


def guard() -> list[Quiet]:
    """Put `Quiet` streams in place of the process's own; streams that somebody has replaced are left alone.

    Descriptors 0 to 2 that are closed are opened on the null device: what is opened next would get their numbers,
    and what a library prints would stand in it. A name that the encoding lacks is printed with escapes.
    """
    free = set[int]()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            free.add(os.open(os.devnull, os.O_RDWR))
            os.set_inheritable(number, True)
    found = []
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream, own = getattr(sys, name), getattr(sys, f"__{name}__")
        if stream is None:
            raw = io.FileIO(number, "w", closefd=False) if number in free else io.FileIO(os.devnull, "w")
            stream = own = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", line_buffering=True)
        if stream is own and not isinstance(stream.buffer, Quiet):
            stream = _guarded(stream, HELD if number == 2 else None)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        if isinstance(quiet := getattr(stream, "buffer", None), Quiet):
            quiet.waits = True
            found.append(quiet)
    return found


def _guarded(stream: Any, limit: int | None) -> io.TextIOWrapper:
    with contextlib.suppress(OSError):
        stream.flush()
    quiet: Any = Quiet(stream, limit)
    handlers = {"strict": "backslashreplace", "surrogateescape": "bytes-or-escapes"}
    how = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return io.TextIOWrapper(quiet, stream.encoding, handlers.get(stream.errors, stream.errors), **how)


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    """File names that are no text as their bytes; what the encoding lacks with escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error("bytes-or-escapes", _bytes_or_escapes)


@contextlib.contextmanager
def guarded() -> Iterator[list[Quiet]]:
    """`guard`, and at the end wait until readers have what was printed. Ctrl-C ends the waiting."""
    quiet = guard()
    try:
        yield quiet
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            for stream in (sys.stdout, sys.stderr) if quiet else ():
                stream.flush()
            for one in quiet:
                one.drain()
