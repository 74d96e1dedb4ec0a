"""Standard output and error that never end a command: who stops reading costs no fit."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class Patient(io.TextIOBase):
    """A text stream that goes silent, once and for all, when it can no longer be written.

    failure: the error that silenced it, or None. Characters that its encoding has not are written as escapes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: Exception | None = None
        with contextlib.suppress(AttributeError, ValueError, OSError):  # no text stream, or one that cannot
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, or do nothing once the stream is gone."""
        if self.failure is None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # a stream that could not be told to escape
                encoding = self._stream.encoding or "ascii"
                self.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self._silence(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing once the stream is gone."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._silence(error)

    def _silence(self, error: Exception) -> None:
        self.failure = error
        with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
            # What libraries and other processes write to the same place must not fail either.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    @property
    def lost(self) -> str:
        """Why something that was wanted could not be written; empty when its reader went away."""
        if not isinstance(self.failure, OSError) or self.failure.errno in (
            errno.EPIPE,
            errno.EIO,
            errno.EBADF,
        ):
            return ""
        return self.failure.strerror or str(self.failure)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The stream's own."""
        return getattr(self._stream, "errors", None)

    @property
    def buffer(self) -> Any:
        """The bytes below the stream, where it has them."""
        return self._stream.buffer

    def fileno(self) -> int:
        """The stream's own."""
        number: int = self._stream.fileno()
        return number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return bool(self._stream.isatty())
        except ValueError:
            return False

    def writable(self) -> bool:
        """It is."""
        return True


@contextlib.contextmanager
def patient_streams() -> Iterator[tuple[Patient, Patient]]:
    """Standard output and error as patient streams while the code inside runs."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    null = io.StringIO()
    streams = Patient(before[0] or null), Patient(before[1] or null)
    sys.stdout, sys.stderr = streams
    try:
        yield streams
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before
        if streams[0].failure is not None and before[0] is sys.__stdout__:
            sys.stdout = streams[0]  # Python flushes it once more at the end


def _fill_gaps() -> None:
    """Give closed standard streams a place: the next file opened would get their number, and what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                null = os.open(os.devnull, os.O_RDWR)
                if null != number:
                    os.dup2(null, number)
                    os.close(null)
