"""The guard that every reader applies before it takes memory for an array."""

from __future__ import annotations

from benchmark.errors import InputError

LIMIT = 8 << 30  # bytes that the arrays of one file may claim


def check_claim(claimed: int, what: str, limit: int = LIMIT) -> None:
    """Raise InputError where an array claims more bytes than the limit."""
    if claimed > limit:
        raise InputError(f"{what} claims {claimed / 1e9:.1f} GB, over the limit of {limit / 1e9:.1f} GB")
