"""The one exception that means "the user can mend this"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that its giver must mend: a flag, a file, a name, a folder.

    The message is one line that names the offending thing and what is allowed.
    The command line prints it without a traceback and ends with exit code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def unknown(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """An error for a name that is not among `valid`, with the nearest valid ones.

    `kind` is the noun for the message ("method", "data set", "flag").
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"unknown {kind} {name!r}: {hint}known: {', '.join(names) or 'none'}")
