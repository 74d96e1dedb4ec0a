"""Everything the benchmark does to data: who is a query, who trains, whose label is shown.

Draws depend on the seed and the data set alone, never on the method, its parameters or what ran before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.contracts import DatasetInfo
from benchmark.errors import InputError, unknown
from benchmark.spec import NAME_PATTERN, Value, seed_stream

#: Share of the labelled training images that `--selection val` holds out of training.
TUNING_SHARE = 0.1


class Protocol(Value):
    """A named, versioned rule that splits a data set; its version is raised when its draws change.

    Per class: the first `query_per_class` images of a seeded permutation are queries, the next
    `train_per_class` train. The database is every image but the queries (`all-but-query`), every image that is
    neither query nor training image (`rest`), or the training images (`train`). `k` cuts the ranking
    (None: mAP over the whole database). `datasets` empty: any single-label set with enough images.
    """

    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(default=1, ge=1)
    title: str
    datasets: tuple[str, ...] = ()
    query_per_class: int = Field(ge=1)
    train_per_class: int = Field(ge=1)
    database: Literal["all-but-query", "rest", "train"]
    k: int | None = Field(default=None, ge=1)
    source: str = ""

    def describe(self) -> str:
        """One line for captions."""
        databases = {
            "all-but-query": "database: all other images, training images included",
            "rest": "database: all images that are neither query nor training image",
            "train": "database: the training images",
        }
        return (
            f"{self.name} v{self.version}: {self.query_per_class} queries and {self.train_per_class} training "
            f"images a class, {databases[self.database]}; mAP@{'all' if self.k is None else self.k}"
        )


_CIFAR = ("cifar10", "cifar10-jpeg")

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="digits-20-50",
            title="digits: 200 queries, 500 training images, database all but queries",
            datasets=("digits",),
            query_per_class=20,
            train_per_class=50,
            database="all-but-query",
        ),
        Protocol(
            name="mnist-69k",
            title="MNIST: 1,000 queries, 5,000 training images, database of 69,000",
            datasets=("mnist",),
            query_per_class=100,
            train_per_class=500,
            database="all-but-query",
        ),
        Protocol(
            name="cifar10-59k",
            title="CIFAR-10: 1,000 queries, 5,000 training images, database of 59,000 (train included)",
            datasets=_CIFAR,
            query_per_class=100,
            train_per_class=500,
            database="all-but-query",
            source="swuxyj/DeepHash-pytorch `cifar10-1`, jiangqy/ADSH-AAAI2018, kamwoh/orthohash protocol 1",
        ),
        Protocol(
            name="cifar10-54k",
            title="CIFAR-10: 1,000 queries, 5,000 training images, database of 54,000 (disjoint)",
            datasets=_CIFAR,
            query_per_class=100,
            train_per_class=500,
            database="rest",
            source="swuxyj/DeepHash-pytorch `cifar10`",
        ),
        Protocol(
            name="cifar10-50k",
            title="CIFAR-10: 10,000 queries, 50,000 training images, database = training images",
            datasets=_CIFAR,
            query_per_class=1000,
            train_per_class=5000,
            database="train",
            source="swuxyj/DeepHash-pytorch `cifar10-2`, kamwoh/orthohash protocol 2",
        ),
        Protocol(
            name="balanced-100-500",
            title="100 queries and 500 training images a class, database all but queries",
            query_per_class=100,
            train_per_class=500,
            database="all-but-query",
        ),
        Protocol(
            name="balanced-20-50",
            title="20 queries and 50 training images a class, database all but queries",
            query_per_class=20,
            train_per_class=50,
            database="all-but-query",
        ),
    )
}


@dataclass(frozen=True)
class Split:
    """Row numbers into the decoded data set: int64, each part without repeats.

    `labelled` and `hidden` together with `tuning` are the training part; `tuning` is empty unless asked for.
    """

    query: np.ndarray
    database: np.ndarray
    labelled: np.ndarray
    hidden: np.ndarray
    tuning: np.ndarray


def resolve(name: str, info: DatasetInfo) -> Protocol:
    """The protocol a data set is run under; `default` is the data set's own.

    Raises InputError for an unknown name or one that is not made for the data set.
    """
    wanted = info.default_protocol if name == "default" else name
    if wanted not in PROTOCOLS:
        raise unknown("protocol", wanted, [*PROTOCOLS, "default"])
    protocol = PROTOCOLS[wanted]
    if protocol.datasets and info.name not in protocol.datasets:
        raise InputError(
            f"protocol {wanted!r} is for {', '.join(protocol.datasets)}, not for data set {info.name!r}"
        )
    if info.multi_label:
        raise InputError(f"protocol {wanted!r} draws by class; data set {info.name!r} is multi-label")
    return protocol


def draw(
    protocol: Protocol,
    info: DatasetInfo,
    labels: np.ndarray,
    seed: int,
    label_fraction: float = 1.0,
    *,
    tuning: bool = False,
) -> Split:
    """Draw the parts for one seed.

    labels: uint8 (n, classes), one-hot. The labelled part is stratified and nested: a smaller fraction's images
    are among a larger one's, at least one a class. `tuning` holds a tenth of the labelled images (at least one
    a class) out of training. Raises InputError when a class has too few images.
    """
    query, train, labelled, hidden, held_out = [], [], [], [], []
    class_ids = labels.argmax(axis=1)
    for number, name in enumerate(info.classes):
        order = _class_order(np.flatnonzero(class_ids == number), info, seed, number)
        q, t = protocol.query_per_class, protocol.train_per_class
        if len(order) < q + t:
            raise InputError(
                f"protocol {protocol.name!r} needs {q + t} images a class; "
                f"class {name!r} of data set {info.name!r} has {len(order)}"
            )
        query.append(order[:q])
        train.append(order[q : q + t])
        shown = max(1, round(label_fraction * t))
        held = max(1, round(TUNING_SHARE * shown)) if tuning else 0
        if held >= shown:
            raise InputError(f"selection 'val' needs 2 labelled images a class; class {name!r} has {shown}")
        held_out.append(order[q + shown - held : q + shown])
        labelled.append(order[q : q + shown - held])
        hidden.append(order[q + shown : q + t])
    return Split(
        query=np.sort(np.concatenate(query)),
        database=_database(protocol, len(labels), np.concatenate(query), np.concatenate(train)),
        labelled=np.sort(np.concatenate(labelled)),
        hidden=np.sort(np.concatenate(hidden)),
        tuning=np.sort(np.concatenate(held_out)),
    )


def _class_order(rows: np.ndarray, info: DatasetInfo, seed: int, number: int) -> np.ndarray:
    """A permutation of one class's rows, which every protocol and label share of the data set reads from."""
    generator = np.random.Generator(
        np.random.PCG64(seed_stream("split", info.split_key or info.name, seed, number))
    )
    return rows[generator.permutation(len(rows))]


def _database(protocol: Protocol, n: int, query: np.ndarray, train: np.ndarray) -> np.ndarray:
    if protocol.database == "train":
        return np.sort(train)
    inside = np.ones(n, dtype=bool)
    inside[query] = False
    if protocol.database == "rest":
        inside[train] = False
    return np.flatnonzero(inside)
