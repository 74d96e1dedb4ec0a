"""Text files as people keep them: UTF-8 with or without a byte order mark, lines ended in any of the three ways."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import InputError

_WIDE = (b"\xff\xfe", b"\xfe\xff")


def read_text(file: Path, what: str, max_bytes: int = 2**30) -> str:
    """The text of a file, its lines ended by `\\n`.

    what: the noun for messages (`list`). Raises InputError naming the file, and the line of bytes that are no text.
    """
    name = f"{what} {str(file)!r}"
    try:
        with file.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise InputError(f"missing {what} {str(file)!r}") from None
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > max_bytes:
        raise InputError(f"{name} is larger than {max_bytes:,} bytes")
    if raw[:2] in _WIDE:
        raise InputError(f"{name} line 1: the file is UTF-16; save it as UTF-8")
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if (zero := raw.find(b"\0")) >= 0:
        raise InputError(
            f"{name} line {_line(raw, zero)} holds a zero byte; save the file as plain UTF-8 text"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line(error.object, error.start)
        odd = error.object[error.start : error.start + 1].hex()
        raise InputError(f"{name} line {line} is not UTF-8 (byte {odd}); save the file as UTF-8") from None


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1
