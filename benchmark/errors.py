"""The one exception that means "the user can mend this"."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable


class InputError(ValueError):
    """Input that its giver must mend: a flag, a file, a name, a folder.

    The message is one line that names the offending thing and what is allowed.
    The command line prints it without a traceback and ends with exit code 2. `trace`: the traceback of what lies
    behind it, where that was met earlier (a plug-in's import).
    """

    trace: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def printable(text: str) -> str:
    """The same text with what UTF-8 has no form for, such as bytes of a file's name, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def words(error: BaseException) -> str:
    """What an exception says, also when it cannot say it."""
    try:
        return printable(str(error))
    except Exception as second:  # noqa: BLE001 - an exception of a plug-in may do anything
        return f"(its text raises {type(second).__name__})"


def one_line(error: BaseException, limit: int = 300) -> str:
    """An exception's kind and text in one line of at most `limit` characters."""
    return " ".join(f"{type(error).__name__}: {words(error)}".split())[:limit]


def trace_of(error: BaseException, limit: int = 8000) -> str:
    """An exception's traceback, the causes included: its last `limit` characters."""
    return printable("".join(traceback.format_exception(error))[-limit:])


def unknown(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """An error for a name that is not among `valid`, with the nearest valid ones.

    `kind` is the noun for the message ("method", "data set", "flag").
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"unknown {kind} {name!r}: {hint}known: {', '.join(names) or 'none'}")
