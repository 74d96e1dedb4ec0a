"""What a protocol fixes: who is a query, who trains, what is searched, and at which k."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmark.contracts import DatasetInfo
from benchmark.spec import NAME_PATTERN, Value, seed_stream

#: How the parts come about; see `Protocol`.
DrawKind = Literal["per-class", "stratified", "random", "quota", "official", "query-part", "lists", "by-size"]
#: How near two vectors are, for protocols without labels; `ip`: the largest inner product is nearest.
Distance = Literal["euclidean", "cosine", "ip"]
Database = Literal["all-but-query", "rest", "train", "listed"]

_DATABASES = {
    "all-but-query": "database: all other images, training images included",
    "rest": "database: all images that are neither query nor training image",
    "train": "database: the training images",
    "listed": "database: as listed",
}


class Protocol(Value):
    """A named, versioned rule that splits a data set; its version is raised when its draws change.

    `draw` says how:
    `per-class`: the first `query` images of a seeded permutation of each class are queries, the next `train` train;
    `stratified`: the same with `query` and `train` images in all, shared out over the classes by their sizes;
    `random`: the first `query` and the next `train` images of one permutation of the set;
    `quota`: one pass over a permutation: an image trains if one of its labels still wants training images (`train`
    a label), else is a query if one still wants queries (`query` a label), and counts for the first such label;
    `official`: the first `official_train` images train, the others are queries (the set's own two parts);
    `query-part`: queries are the set's own query part, `train` images of each class of the others train;
    `lists`: the parts that the data set's list files name;
    `by-size`: a tenth of the items, at most `query`, are queries, and at most `train` of the others train.

    The database is every image but the queries (`all-but-query`), every image that is neither query nor training
    image (`rest`), the training images (`train`) or the listed one (`listed`). `disjoint` drops from a listed
    database what is a query or trains. `overlapping` admits queries inside the database or the training part, which
    is refused otherwise. `exclude_self` leaves a query's own entry out of its ranking. `k` cuts the ranking (None:
    the whole database). `datasets` empty: any set that the draw fits. `neighbours`: relevant to a query are so many
    items of the database, the nearest ones by `distance` before hashing, and labels do not count.
    """

    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(default=1, ge=1)
    title: str
    datasets: tuple[str, ...] = ()
    draw: DrawKind = "per-class"
    query: int = Field(default=0, ge=0)
    train: int = Field(default=0, ge=0)
    official_train: int = Field(default=0, ge=0)
    database: Database = "all-but-query"
    disjoint: bool = False
    overlapping: bool = False
    exclude_self: bool = False
    k: int | None = Field(default=None, ge=1)
    neighbours: int | None = Field(default=None, ge=1)
    distance: Distance = "euclidean"
    source: str = ""
    note: str = ""

    def describe(self) -> str:
        """One line for captions."""
        parts = [f"{self._sizes()}, {_DATABASES[self.database]}"]
        if self.disjoint:
            parts[0] += " without what is a query or trains"
        if self.overlapping:
            parts.append("OVERLAPPING: queries or training images may lie in other parts, as released")
        if self.exclude_self:
            parts.append("a query's own entry is left out")
        if self.neighbours is not None:
            parts.append(f"{self.nearness}; labels do not count")
        parts.append(f"mAP@{'all' if self.k is None else self.k}")
        return f"{self.name} v{self.version}: {'; '.join(parts)}"

    @property
    def nearness(self) -> str:
        """What is relevant under a protocol of neighbours, in words."""
        by = {"euclidean": "euclidean distance", "cosine": "cosine", "ip": "inner product"}[self.distance]
        return f"relevant: the {self.neighbours:,} nearest by {by} before hashing, and all that tie with the last"

    def definition(self) -> dict[str, Any]:
        """The protocol for the record, JSON-ready."""
        found = self.model_dump(mode="json")
        if self.neighbours is None:
            del found["neighbours"], found["distance"]
        return found

    def training_images(self, images: int, classes: int) -> int:
        """About how many images train, of a data set with so many images and classes: for forecasts."""
        if self.draw in ("per-class", "quota", "query-part"):
            return self.train * classes
        if self.draw == "by-size":
            return min(self.train, images)
        return self.official_train or self.train or images

    def _sizes(self) -> str:
        query, train = f"{self.query:,} queries", f"{self.train:,} training images"
        return {
            "per-class": f"{query} and {train} a class",
            "stratified": f"{query} and {train}, shared out over the classes by size",
            "random": f"{query} and {train} at random",
            "quota": f"{query} and {train} a label, filled in one pass over a permutation",
            "official": f"queries: the official test part, {self.official_train:,} training images",
            "query-part": f"queries: the set's own query part, {train} a class of the others",
            "lists": "queries and training images: as listed",
            "by-size": f"a tenth, at most {query}, and at most {train} at random",
        }[self.draw]


def _none() -> np.ndarray:
    return np.array([], dtype=np.int64)


@dataclass(frozen=True)
class Split:
    """Row numbers into the decoded data set: int64, sorted, each part without repeats.

    `labelled`, `hidden`, `tuning` and `dropped` together are the training part.

    labelled: images with a label. hidden: images that are handed over without one. tuning: the tuning split,
    empty unless asked for. dropped: images that nobody is given.
    changed: the rows among `labelled` and `tuning` whose label was made wrong. changed_labels: uint8, one row
    each, what they now say. moved: how many labels that are.
    seen: the classes that training was confined to; empty means all.
    """

    query: np.ndarray
    database: np.ndarray
    labelled: np.ndarray
    hidden: np.ndarray
    tuning: np.ndarray
    dropped: np.ndarray = field(default_factory=_none)
    changed: np.ndarray = field(default_factory=_none)
    changed_labels: np.ndarray = field(default_factory=_none)
    moved: int = 0
    seen: np.ndarray = field(default_factory=_none)

    @property
    def training_images(self) -> int:
        """The size of the training part, with or without labels: what the number of updates goes by."""
        return len(self.labelled) + len(self.hidden) + len(self.tuning) + len(self.dropped)

    def training_labels(self, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The labels that training is told for `rows`, uint8 (len(rows), classes): noise included.

        labels: the true ones of the whole set, uint8 (n, classes); they are not changed.
        """
        told: np.ndarray = labels[rows].copy()
        if len(self.changed):
            places = np.minimum(np.searchsorted(self.changed, rows), len(self.changed) - 1)
            wrong = self.changed[places] == rows
            told[wrong] = self.changed_labels[places[wrong]]
        return told


def generator(*parts: str | int) -> np.random.Generator:
    """The random stream of a draw: the same on every machine, and apart from every other stream."""
    return np.random.Generator(np.random.PCG64(seed_stream(*parts)))


def key_of(info: DatasetInfo) -> str:
    """The name under which a data set's draws are made; two encodings of one collection share it."""
    return info.split_key or info.name
