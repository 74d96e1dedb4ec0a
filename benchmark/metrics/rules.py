"""The rules that decide a retrieval number, as one value that travels with the number."""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from typing import Any

from benchmark.errors import InputError

#: option -> value -> what it means, in words fit for a caption.
CHOICES: dict[str, dict[Any, str]] = {
    "ties": {
        "expected": "ties averaged over all orders",
        "database-order": "ties in database order",
        "optimistic": "ties relevant first",
        "pessimistic": "ties relevant last",
    },
    "normaliser": {
        "retrieved-in-k": "normalised by the relevant items inside k",
        "all-relevant": "normalised by all relevant items",
    },
    "no_hit": {
        "zero": "queries without a hit count 0",
        "skip": "queries without a hit skipped",
    },
    "empty_ball": {
        "zero": "empty radius balls count 0",
        "skip": "empty radius balls skipped",
    },
    "sign_zero": {1: "sign(0) = +1", -1: "sign(0) = -1"},
    "relevance": {
        "shared": "relevant = at least one shared label",
        "graded": "relevant = at least one shared label, gain = number of shared labels",
        "neighbours": "relevant = the query's nearest items before hashing, all that tie for the last place",
    },
}


@dataclass(frozen=True)
class Rules:
    """Every choice that public repositories make differently; checked when it is built.

    Attributes
    ----------
    ties : str
        Where items at one distance stand. `expected` is the exact mean over all their orders, `database-order` a
        stable sort, `optimistic` and `pessimistic` put relevant items first or last.
    normaliser : str
        What average precision at k is divided by. Class-label hashing code divides by the relevant items inside the
        top k (`retrieved-in-k`), textbooks by all of them (`all-relevant`).
    no_hit : str
        What a query without a hit does to a mean: it counts 0 (`zero`) or is left out (`skip`). A query has no hit
        when no order of the ties brings a relevant item inside k (`retrieved-in-k`), or when the database holds no
        relevant item (`all-relevant`, and every recall).
    empty_ball : str
        The same for a query whose Hamming ball holds no item at all.
    sign_zero : int
        The bit (+1 or -1) of an output that is exactly 0.
    relevance : str
        `shared`: at least one label in common. `graded` (multi-hot labels only) adds gains, the number of labels in
        common. `neighbours` reads no labels but a list of relevant items for each query.
    k : int or None
        The cut-off of mAP, NDCG, ACG and WAP, from 1; None is the whole database, and so is any k beyond it.
    exclude_self : bool
        Whether a query's own entry (the same id) is left out of its ranking.

    Raises
    ------
    InputError
        A value outside `CHOICES`, or k < 1.
    """

    ties: str = "expected"
    normaliser: str = "retrieved-in-k"
    no_hit: str = "zero"
    empty_ball: str = "zero"
    sign_zero: int = 1
    relevance: str = "shared"
    k: int | None = None
    exclude_self: bool = False

    def __post_init__(self) -> None:
        for option, choices in CHOICES.items():
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, (str, int)) or value not in choices:
                allowed = ", ".join(map(str, choices))
                raise InputError(f"{option} is {value!r}; allowed: {allowed}")
        object.__setattr__(self, "k", checked_cutoff(self.k))
        if not isinstance(self.exclude_self, bool):
            raise InputError(f"exclude_self is {self.exclude_self!r}; allowed: True, False")

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON-ready values, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def describe(self) -> str:
        """One line for a table's caption, such as "mAP@5000, ties averaged over all orders, ..."."""
        parts = [f"mAP@{'all' if self.k is None else self.k}"]
        parts += [choices[getattr(self, option)] for option, choices in CHOICES.items()]
        if self.exclude_self:
            parts.append("the query itself left out")
        return ", ".join(parts)


def checked_cutoff(k: object, name: str = "k") -> int | None:
    """`k` as an int of 1 or more, or None for the whole database; anything else is an InputError."""
    if k is None:
        return None
    try:
        value = operator.index(k)  # type: ignore[arg-type]
    except TypeError:
        value = 0
    if isinstance(k, bool) or not 1 <= value <= 2**53:
        raise InputError(f"{name} is {k!r}; it must be a whole number of 1 or more, or None for all items")
    return value
