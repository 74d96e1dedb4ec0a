"""The identity of a backbone's weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmark.errors import InputError


def weights_identity(weights: str) -> str:
    """`none`, `imagenet`, or the digest of a weights file: identity never holds a path."""
    if weights in ("none", "imagenet"):
        return weights
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"weights {weights!r}: no such file; allowed: none, imagenet, or a file")
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return f"file-{hasher.hexdigest()[:16]}"
