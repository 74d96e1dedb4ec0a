"""The names under which people store codes and labels, and the one role that each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from benchmark.errors import InputError
from benchmark.scoring.member import Member

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


def _spellings() -> tuple[dict[str, str], set[str]]:
    """Spelling -> role, and those of two letters that give way to any other ("lr" may be a learning rate)."""
    table = {spelling.replace("_", ""): "bits" for spelling in BITS}
    weak = set()
    for side, side_words in SIDES.items():
        for kind, kind_words in KINDS.items():
            for one in side_words:
                for other in kind_words:
                    table[one + other] = table[other + one] = f"{side}_{kind}"
                    if len(one + other) == 2:
                        weak.add(other + one)
    return table, weak


_SPELLINGS, _WEAK = _spellings()
_SIDE_OF = {word: side for side, words in SIDES.items() for word in words}
_KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
ROLES = ("bits", *(f"{side}_{kind}" for side in SIDES for kind in KINDS))


def _letters(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.lower())


def role_of(key: str) -> str | None:
    """The role a key stands for ("qB" -> "query_codes"), or None; case and punctuation do not count."""
    return _SPELLINGS.get(_letters(key))


def side_of(word: str) -> str | None:
    """The set that a word stands for ("gallery" -> "database"), or None."""
    return _SIDE_OF.get(_letters(word))


def kind_of(key: str) -> str | None:
    """What a key that names no set stands for ("targets" -> "labels"), or None."""
    return _KIND_OF.get(_letters(key))


def _words(stem: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", stem.lower()) if word]


def role_of_file(stem: str) -> str | None:
    """The role a file name ends in ("coco_test_labels" -> "query_labels"), or None."""
    words = _words(stem)
    return role_of("".join(words[-2:])) or role_of("".join(words[-1:])) or role_of("".join(words[:2]))


def side_of_file(stem: str) -> str | None:
    """The set that a file name speaks of ("test_best" -> "query"), or None; single letters do not count."""
    found = {_SIDE_OF[word] for word in _words(stem) if len(word) > 1 and word in _SIDE_OF}
    return found.pop() if len(found) == 1 else None


def assign(
    members: Iterable[Member], where: str, named: Mapping[str, str], side: str | None = None
) -> dict[str, Member]:
    """role -> member for the arrays of one file.

    named: role -> the key that its user named for it. side: the set that the whole file is, where that is known:
    keys then need no word for it. Numbers without a dimension hold bits and nothing else, and ids that cannot be
    read are left out. Raises InputError where two keys claim one role.
    """
    members = list(members)
    found: dict[str, list[Member]] = {}
    for role, key in named.items():
        if side is None or role.partition("_")[0] in (side, "bits"):
            mine = [member for member in members if member.key == key]
            found |= {role: mine} if mine else {}
    for member in members:
        role = member.role or role_of(member.key) or kind_of(member.key) or ""
        if role in KINDS:
            role = f"{side}_{role}" if side else ""
        if not role or role in named or (member.shape == () and role != "bits"):
            continue
        if not (role.endswith("_ids") and member.refused):
            found.setdefault(role, []).append(member)
    return {role: _one(role, claims, where) for role, claims in found.items()}


def _one(role: str, claims: list[Member], where: str) -> Member:
    strong = [member for member in claims if _letters(member.key) not in _WEAK] or claims
    if len(strong) > 1:
        one, other = strong[0].key, strong[1].key
        flag = "--" + role.replace("_", "-")
        raise InputError(f"{where}: {one!r} and {other!r} both look like {role}; say which: {flag} KEY")
    return strong[0]
