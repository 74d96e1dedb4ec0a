"""Which classes two data sets share, by name or digit, and how alike a novelty set is."""

from __future__ import annotations

import re

from benchmark.contracts import DatasetInfo

#: Other names of one class, in the sets at hand.
_SAME = {
    "car": "automobile",
    "auto": "automobile",
    "aeroplane": "airplane",
    "plane": "airplane",
    "motorcycle": "motorbike",
    "boat": "ship",
}
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = {name: str(number) for number, name in enumerate(_WORDS)}


def shared_classes(own: DatasetInfo, other: DatasetInfo) -> dict[int, int]:
    """Class of `other` -> class of `own`, for every class that both have.

    Names are compared in lower case with underscores for spaces; digits by value ("3", "three", "3 - three"); and
    by the few synonyms above. Empty when they share nothing or either is multi-label.
    """
    if own.multi_label or other.multi_label:
        return {}
    mine = {_plain(name): number for number, name in enumerate(own.classes)}
    theirs = [(number, _plain(name)) for number, name in enumerate(other.classes)]
    return {number: mine[name] for number, name in theirs if name in mine}


def _plain(name: str) -> str:
    text = re.sub(r"[\s-]+", "_", name.strip().lower())
    digit = re.fullmatch(r"(?:digit_)?([0-9])(?:_+[a-z]+)?", text)
    if digit:
        return digit[1]
    return _DIGITS.get(text, _SAME.get(text, text))


def similarity(own: DatasetInfo, other: DatasetInfo) -> str:
    """`shared classes`; else `near` or `far` by the subjects that both declare; empty where one declares none."""
    if shared_classes(own, other):
        return "shared classes"
    if not (own.subject and other.subject):
        return ""
    alike = own.subject in (other.subject, *other.near) or other.subject in own.near
    return "near" if alike else "far"
