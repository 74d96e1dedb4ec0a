"""Printing what came from files."""

from __future__ import annotations


def plain(text: str) -> str:
    """Without control characters: a record from elsewhere must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
