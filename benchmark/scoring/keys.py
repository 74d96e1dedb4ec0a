"""The names under which people store codes and labels, and the one role that each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from benchmark.errors import InputError

#: words for the two sets and for what is stored; a key joins one of each, in either order.
SIDES = {
    "query": ("query", "queries", "q", "test", "tst", "te", "val", "validation"),
    "database": ("database", "db", "retrieval", "gallery", "base", "trn", "d", "r"),
}
KINDS = {
    "codes": ("codes", "code", "binary", "hash", "hashes", "b"),
    "outputs": ("outputs", "output", "features", "feature", "embeddings", "u"),
    "labels": ("labels", "label", "targets", "target", "l", "y"),
    "ids": ("ids", "id", "paths", "names"),
}
BITS = ("bits", "n_bits", "nbits", "bit")


def _spellings() -> dict[str, str]:
    table = {spelling.replace("_", ""): "bits" for spelling in BITS}
    for side, side_words in SIDES.items():
        for kind, kind_words in KINDS.items():
            for one in side_words:
                for other in kind_words:
                    table[one + other] = table[other + one] = f"{side}_{kind}"
    return table


_SPELLINGS = _spellings()
ROLES = ("bits", *(f"{side}_{kind}" for side in SIDES for kind in KINDS))


def role_of(key: str) -> str | None:
    """The role a key stands for ("qB" -> "query_codes"), or None; case and punctuation do not count."""
    return _SPELLINGS.get(re.sub(r"[^a-z]", "", key.lower()))


def role_of_file(stem: str) -> str | None:
    """The role a file name ends in ("coco_test_labels" -> "query_labels"), or None."""
    words = [word for word in re.split(r"[^a-z]+", stem.lower()) if word]
    return role_of("".join(words[-2:])) or role_of("".join(words[-1:])) or role_of("".join(words[:2]))


def assign(keys: Iterable[str], where: str) -> dict[str, str]:
    """role -> key for the keys of one file; InputError where two keys claim one role."""
    found: dict[str, str] = {}
    for key in keys:
        role = role_of(key)
        if role is None:
            continue
        if role in found:
            raise InputError(f"{where}: {found[role]!r} and {key!r} both look like {role}; keep one")
        found[role] = key
    return found
