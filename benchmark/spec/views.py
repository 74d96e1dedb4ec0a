"""The names of views: `clean`, `corruption:fog@3`, `corruption:blur@1-3/both`, `cross:usps`, `novelty:mnist`.

view     = "clean" | "unseen-classes"
         | "corruption:" what ["@" severity ["-" severity]] ["/" part]
         | "cross:" data set ["/" part]
         | "novelty:" data set
what     = a corruption | noise | blur | weather | digital | common | extra | all
part     = queries (the default, never written) | database | both
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from benchmark.errors import InputError, unknown
from benchmark.spec.corruptions import COMMON, CORRUPTIONS, EXTRA, FAMILIES, SEVERITIES
from benchmark.spec.values import NAME_PATTERN

Kind = Literal["clean", "corruption", "unseen-classes", "cross", "novelty"]
Target = Literal["queries", "database", "both"]

KINDS: tuple[Kind, ...] = ("clean", "corruption", "unseen-classes", "cross", "novelty")
TARGETS: tuple[Target, ...] = ("queries", "database", "both")

_GROUPS: dict[str, tuple[str, ...]] = {
    **FAMILIES,
    "common": COMMON,
    "extra": EXTRA,
    "all": tuple(CORRUPTIONS),
}
_SHORT = {"elastic": "elastic_transform", "jpeg": "jpeg_compression"}

#: Raised when a kind's definition gives other numbers: views of an older one then count as missing.
VERSIONS: dict[Kind, int] = {**dict.fromkeys(KINDS, 1), "corruption": 2}

_FORM = re.compile(
    r"(?P<kind>[a-z-]+)(?::(?P<name>[^@/]*))?(?P<tail>(?:@[0-9]+(?:-[0-9]+)?|/[a-z]+){0,2})", re.ASCII
)

#: Name and meaning of every form, for `list views`.
LISTING: dict[str, str] = {
    "clean": "the protocol's queries against its database, as they are",
    "corruption:all": f"all {len(CORRUPTIONS)} corruptions at severities 1 to 5 (also: common, the {len(COMMON)}; "
    f"extra, the other {len(EXTRA)})",
    **{f"corruption:{family}": f"corruptions {', '.join(names)}" for family, names in FAMILIES.items()},
    "corruption:NAME@3": "one corruption, or a family, at one severity (@1-3: at several)",
    "corruption:NAME@3/database": "the database is corrupted, not the queries; /both: both are",
    "unseen-classes": "trained on some classes, queries and database of the others (--class-splits)",
    "cross:DATASET": "queries of another set with shared classes (/database: its database; /both: both)",
    "novelty:DATASET": "AUROC of a query's distance to its nearest database code, against another set's images",
}


@dataclass(frozen=True)
class View:
    """One view, parsed.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
        The corruption, or the other data set of `cross` and `novelty`; else empty.
    severity : int or None
        1 to 5 for corruptions, else None.
    target : str
        Which part of the protocol the view changes: `queries`, `database` or `both`.
    """

    kind: Kind
    name: str = ""
    severity: int | None = None
    target: Target = "queries"

    def __str__(self) -> str:
        """The view's one canonical name."""
        member = f":{self.name}" if self.name else ""
        severity = f"@{self.severity}" if self.severity is not None else ""
        return f"{self.kind}{member}{severity}{'' if self.target == 'queries' else '/' + self.target}"

    @property
    def family(self) -> str:
        """`noise`, `blur`, `weather` or `digital` for a corruption, else the kind itself."""
        return CORRUPTIONS[self.name] if self.kind == "corruption" else self.kind

    @property
    def slug(self) -> str:
        """The name with letters that any file system and archive takes."""
        return re.sub(r"[:@/]", ".", str(self))

    @property
    def version(self) -> int:
        """The version of the definition in force."""
        return VERSIONS[self.kind]

    def pointless(self, channels: int) -> str:
        """Why the view means nothing for images of so many channels.

        Parameters
        ----------
        channels : int
            1 or 3.

        Returns
        -------
        str
            A reason; empty when it does mean something.
        """
        if self.name == "saturate" and self.kind == "corruption" and channels == 1:
            return "it changes colour, and the images have none"
        return ""


def parse_view(text: str) -> View:
    """One view by its name; what stands for several (`corruption:all`) is refused.

    Parameters
    ----------
    text : str
        Such as `corruption:fog@3`.

    Returns
    -------
    View
        The parsed view.

    Raises
    ------
    InputError
        Names the view and what is allowed.
    """
    found = expand_views([text])
    if len(found) != 1:
        raise InputError(
            f"view {text!r} stands for {len(found)} views; one corruption and one severity name one"
        )
    return found[0]


def expand_views(names: Iterable[str]) -> tuple[View, ...]:
    """Every view that the names stand for, in their order and once each.

    Names of data sets are not checked here: the registry knows which there are.

    Parameters
    ----------
    names : iterable of str
        Such as `corruption:common`.

    Returns
    -------
    tuple of View
        At least one for each name.

    Raises
    ------
    InputError
        Names the first bad view and what is allowed.
    """
    return tuple(dict.fromkeys(view for name in names for view in _expand(name.strip())))


def _expand(text: str) -> tuple[View, ...]:
    form = _FORM.fullmatch(text[:100])
    if form is None or form["kind"] not in KINDS:
        raise unknown("view", text[:100], LISTING)
    kind, name = cast(Kind, form["kind"]), form["name"]
    severities, target = _tail(text, form["tail"])
    if kind in ("clean", "unseen-classes"):
        if form[0] != kind:
            raise InputError(f"view {text!r}: {kind!r} stands alone")
        return (View(kind),)
    if not name:
        raise InputError(f"view {text!r} lacks a name: {_wanted(kind)}")
    if kind == "corruption":
        return _corruptions(name.replace("-", "_"), severities or SEVERITIES, target or "queries")
    if severities:
        raise InputError(f"view {text!r}: a severity belongs to corruptions, as in corruption:fog@3")
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"view {text!r}: {name!r} is no data set's name; {_wanted(kind)}")
    if kind == "novelty" and target:
        raise InputError(f"view {text!r}: novelty compares queries; it takes no /{target}")
    return (View(kind, name, None, target or "queries"),)


def _wanted(kind: str) -> str:
    if kind == "corruption":
        return f"corruption:NAME with NAME one of {', '.join([*_GROUPS, *CORRUPTIONS])}"
    return f"{kind}:DATASET, with DATASET as `list datasets` shows it"


def _corruptions(name: str, severities: tuple[int, ...], target: Target) -> tuple[View, ...]:
    name = _SHORT.get(name, name)
    if name not in CORRUPTIONS and name not in _GROUPS:
        raise unknown("corruption", name, [*_GROUPS, *CORRUPTIONS])
    members = _GROUPS.get(name, (name,))
    return tuple(View("corruption", member, level, target) for member in members for level in severities)


def _tail(text: str, tail: str) -> tuple[tuple[int, ...], Target | None]:
    """Severities and part behind a name, in either order."""
    severities: tuple[int, ...] = ()
    target: Target | None = None
    for sign, word in re.findall(r"([@/])([a-z0-9-]+)", tail):
        if (sign == "@" and severities) or (sign == "/" and target):
            raise InputError(
                f"view {text!r} names two {'severities' if sign == '@' else 'parts'}; one is allowed"
            )
        if sign == "@":
            low, _, high = word.partition("-")
            if not (len(word) <= 3 and 1 <= int(low) <= int(high or low) <= 5):
                raise InputError(f"view {text!r}: severity {word!r} is not 1 to 5, or a range such as 1-3")
            severities = tuple(range(int(low), int(high or low) + 1))
        elif word in TARGETS:
            target = cast(Target, word)
        else:
            raise unknown("part of a view", word, TARGETS)
    return severities, target
