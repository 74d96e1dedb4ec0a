"""Printing what came from files."""

from __future__ import annotations


def plain(text: str) -> str:
    """Without control characters: a record from elsewhere must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def trace_lines(trace: str) -> str:
    """A traceback, indented; or that there is none."""
    if not trace:
        return "  no traceback: nothing was raised here, or it was lost with its process\n"
    return "".join(f"  {plain(line)}\n" for line in trace.splitlines())


def counted(number: int, name: str) -> str:
    """`1 fit`, `2 fits`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def hours(seconds: float) -> str:
    """A time that is waited for: `under a minute`, `about 12 minutes`, from 90 minutes on in hours."""
    if seconds < 60:
        return "under a minute"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {counted(minutes, 'minute')}"
    return f"about {seconds / 3600:,.1f} hours"
