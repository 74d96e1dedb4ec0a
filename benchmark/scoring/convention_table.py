"""What public repositories compute, from `conventions.toml`: each states the file that it reproduces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import unknown
from benchmark.spec import read_toml

_SIGNS = {
    "zero": "sign(0) = 0",
    "random": "sign(0) random",
    "up": "sign(0) = +1",
    "none": "real-valued ranking",
    "rule": "Hamming ranking",
    "centred": "sign of the outputs minus the database's mean, sign(0) = 0",
    "asymmetric": "outputs of the queries, codes of the database",
    "euclidean": "real-valued ranking",
    "cosine": "real-valued ranking",
}


@dataclass(frozen=True)
class Convention:
    """One repository's rule.

    sign: what is ranked, as `signed_pair` makes it: codes with sign(0) = 0 (`zero`), +1 (`up`) or at random, real
    outputs (`none`), or codes as `Rules` read them (`rule`). sort: how `conventions` ranks it. no_hit: queries
    without a hit count 0 or are skipped; no_label: whether queries without a label are skipped beforehand.
    drop_last: mAP@all leaves the last item out. takes_k: whether there is a cut-off. reported: whether the report's
    table of conventions has it.
    """

    name: str
    source: str
    sign: str
    sort: str
    no_hit: str
    note: str
    drop_last: bool = False
    takes_k: bool = True
    no_label: str = "count"
    reported: bool = True

    @property
    def open_ties(self) -> bool:
        """Whether an unstable sort decides what stands where inside ties."""
        return self.sign != "none" and self.sort in ("distance", "similarity", "partition")

    @property
    def needs_outputs(self) -> bool:
        """Whether real-valued outputs rank, so that codes alone do not do."""
        by_value = self.sign in ("none", "centred", "asymmetric", "euclidean", "cosine")
        return by_value or self.sort in ("rerank", "rerank-near", "ball")

    def apart(self, cut: bool) -> str:
        """Why its number is not comparable with the others' ("" where it is). cut: whether k cuts the ranking."""
        if self.sort == "ball":
            return "within radius 2"
        if not cut:
            return ""
        return "k counts hits" if self.sort == "first-hits" else "" if self.takes_k else "mAP@all"

    def describe(self) -> str:
        """The rule in a few words, fit for a table."""
        parts = [_SIGNS[self.sign], f"no hit: {self.no_hit}"]
        if self.no_label == "skip":
            parts.append("no label: skip")
        if self.drop_last:
            parts.append("mAP@all drops the last item")
        if not self.takes_k:
            parts.append("no cut-off")
        return "; ".join([*parts, self.note])


#: name -> Convention, in the order in which they are shown.
CONVENTIONS: dict[str, Convention] = {
    row["name"]: Convention(**row)
    for row in read_toml(Path(__file__).with_name("conventions.toml"))["convention"]
}
#: Those of the report's table.
REPORTED: dict[str, Convention] = {name: one for name, one in CONVENTIONS.items() if one.reported}


def choose_conventions(names: str) -> list[Convention]:
    """The conventions named in "all" or "a,b"; InputError, with suggestions, for an unknown one.

    "all" leaves out the one that calls a library, and torch with it: "all,torchmetrics-library" has it.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in CONVENTIONS and name != "all":
            raise unknown("convention", name, [*CONVENTIONS, "all"])
    if not wanted or "all" in wanted:
        return [one for name, one in CONVENTIONS.items() if one.sort != "library" or name in wanted]
    return [CONVENTIONS[name] for name in dict.fromkeys(wanted)]
