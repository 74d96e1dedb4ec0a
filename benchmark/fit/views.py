"""From a trained method and its stored codes to the codes and scores of views."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark import metrics
from benchmark.data import protocol
from benchmark.data.corruptions import table_of
from benchmark.data.load import LoadedDataset
from benchmark.data.protocol.shared_classes import shared_classes, similarity
from benchmark.data.view_images import Images, corrupted, foreign
from benchmark.errors import InputError
from benchmark.fit.evaluator import checked, plain_outputs, scores_of
from benchmark.fit.setup import OpenFit
from benchmark.metrics.labels import index_type
from benchmark.metrics.novelty import auroc, nearest_distances
from benchmark.spec import FitSpec
from benchmark.spec.views import View
from benchmark.store.record import Score, ViewFacts

#: What is kept of each view; everything else follows from the stored codes.
METRICS = ("map", "precision", "precision_r2")
#: Query-database pairs of all views together from which on compiling the counting kernel pays.
_COMPILE = 200_000_000

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StoredFit:
    """What every view of one fit reads: the trained method, its stored codes, other data sets by name."""

    opened: OpenFit
    codes: Arrays
    others: Callable[[str], LoadedDataset]
    data_root: Path | None = None

    @property
    def spec(self) -> FitSpec:
        """The fit."""
        return self.opened.spec

    @property
    def data(self) -> LoadedDataset:
        """Its data set, as images."""
        return self.opened.images

    @property
    def split(self) -> protocol.Split:
        """Its parts."""
        return self.opened.split


@dataclass
class EvaluatedViews:
    """What came out: scores, one fact sheet a view, and the arrays of `views.npz`."""

    scores: list[Score] = field(default_factory=list)
    views: list[ViewFacts] = field(default_factory=list)
    arrays: Arrays = field(default_factory=dict)


def evaluate_views(
    stored: StoredFit, views: Iterable[View], tell: Callable[[int], None] = lambda done: None
) -> EvaluatedViews:
    """Evaluate each view; `tell` hears the number of views done and may raise to end it.

    Raises InputError when a view's data cannot be had, FloatingPointError for outputs that are not finite.
    """
    wanted, measured = list(views), EvaluatedViews()
    pairs = len(wanted) * len(stored.codes["query_codes"]) * len(stored.codes["database_codes"])
    engine = "numba" if pairs > _COMPILE else "auto"
    for number, view in enumerate(wanted):
        tell(number)
        arrays, facts = _MAKERS[view.kind](stored, view)
        measured.scores += _scores(stored, view, arrays, engine)
        measured.views.append(facts)
        measured.arrays |= {f"{view.slug}.{name}": array for name, array in arrays.items()}
    tell(len(wanted))
    return measured


# ---- what a view stores: the arrays that differ from codes.npz ------------------------------------------


def _corruption(stored: StoredFit, view: View) -> tuple[Arrays, ViewFacts]:
    data, split = stored.data, stored.split
    arrays: Arrays = {}
    official = 0
    for side, rows in (("query", split.query), ("database", split.database)):
        if view.target in ("both", {"query": "queries"}.get(side, side)):
            images = corrupted(data, rows, view, stored.data_root, keep=side == "query")
            arrays[f"{side}_codes"] = _encode(stored, images)
            official += images.official
    size = (data.info.height, data.info.width)
    text = f"{view.name} at severity {view.severity} by the table for {table_of(size)}, on {_part(view)}"
    if official and data.info.corrupted is not None:
        text += f"; {official:,} of the images from the published {data.info.corrupted.folder} files"
    facts = _facts(view, data.info.name, len(split.query), len(split.database), text)
    return arrays, facts.model_copy(update={"official": official})


def _cross(stored: StoredFit, view: View) -> tuple[Arrays, ViewFacts]:
    own, other = stored.data, stored.others(view.name)
    classes = shared_classes(own.info, other.info)
    theirs = _own_protocol(other, stored.spec.seed)
    arrays: Arrays = {}
    for side, rows in (("query", theirs.query), ("database", theirs.database)):
        target = {"query": "queries"}.get(side, side)
        if view.target in ("both", target):
            rows = rows[np.isin(other.labels[rows].argmax(axis=1), list(classes))]
            arrays[f"{side}_codes"] = _encode(stored, foreign(other, rows, own.info))
            mapped = [classes[int(number)] for number in other.labels[rows].argmax(axis=1)]
            arrays[f"{side}_labels"] = np.asarray(mapped, dtype=index_type(len(own.info.classes)))
            arrays[f"{side}_ids"] = rows
        else:
            inside = np.isin(stored.codes[f"{side}_labels"], list(classes.values()))
            arrays[f"{side}_places"] = np.flatnonzero(inside)
    names = [own.info.classes[number] for number in sorted(classes.values())]
    text = f"{_part(view)} of {view.name} by its default protocol, converted to {own.info.name}'s size and "
    text += f"channels; {len(names)} shared classes on both sides"
    counts = [
        len(arrays.get(f"{side}_codes", arrays.get(f"{side}_places", ()))) for side in ("query", "database")
    ]
    facts = _facts(view, other.info.name, counts[0], counts[1], text)
    return arrays, facts.model_copy(update={"classes": tuple(names)})


def _unseen(stored: StoredFit, view: View) -> tuple[Arrays, ViewFacts]:
    data, split = stored.data, stored.split
    if stored.spec.class_split is None:
        raise InputError(f"{stored.spec.label} was trained on every class: it has no unseen ones")
    unseen = protocol.unseen_classes(data.info, stored.spec.class_split)
    arrays = {}
    for side, rows in (("query", split.query), ("database", split.database)):
        kept = protocol.rows_of(rows, data.labels, unseen)
        arrays[f"{side}_places"] = np.flatnonzero(np.isin(rows, kept))
    if not all(len(places) for places in arrays.values()):
        raise InputError(f"{stored.spec.label}: no query or no database image has unseen classes only")
    names = tuple(data.info.classes[number] for number in unseen)
    text = f"queries and database of the {len(names)} classes that were not trained on"
    facts = _facts(view, data.info.name, len(arrays["query_places"]), len(arrays["database_places"]), text)
    return arrays, facts.model_copy(update={"classes": names})


def _novelty(stored: StoredFit, view: View) -> tuple[Arrays, ViewFacts]:
    own, other = stored.data, stored.others(view.name)
    rows = _own_protocol(other, stored.spec.seed).query
    arrays = {"foreign_codes": _encode(stored, foreign(other, rows, own.info)), "foreign_ids": rows}
    mine, database = len(stored.codes["query_codes"]), len(stored.codes["database_codes"])
    text = f"{mine:,} own queries against {len(rows):,} queries of {view.name} by its default protocol"
    facts = _facts(view, other.info.name, mine + len(rows), database, text)
    return arrays, facts.model_copy(update={"similarity": similarity(own.info, other.info)})


_MAKERS: dict[str, Callable[[StoredFit, View], tuple[Arrays, ViewFacts]]] = {
    "corruption": _corruption,
    "cross": _cross,
    "unseen-classes": _unseen,
    "novelty": _novelty,
}


def _own_protocol(other: LoadedDataset, seed: int) -> protocol.Split:
    rule = protocol.resolve("default", other.info)
    return protocol.draw(rule, other.info, other.labels, seed, parts=other.parts)


def _part(view: View) -> str:
    return {"queries": "the queries", "database": "the database", "both": "queries and database"}[view.target]


def _facts(view: View, source: str, queries: int, database: int, text: str) -> ViewFacts:
    return ViewFacts(
        view=str(view),
        kind=view.kind,
        name=view.name,
        family=view.family,
        severity=view.severity,
        target=view.target,
        source=source,
        queries=queries,
        database=database,
        text=text,
        version=view.version,
    )


def _encode(stored: StoredFit, images: Images) -> np.ndarray:
    """Packed codes of one side."""
    out, evaluator, method = [], stored.opened.evaluator, stored.opened.method
    part = stored.opened.given(images)
    for start in range(0, len(images.rows), evaluator.encode_batch):
        batch = part(start, min(start + evaluator.encode_batch, len(images.rows)))
        outputs = checked(plain_outputs(method.encode(batch)), len(batch), evaluator.bits)
        out.append(metrics.pack_codes(outputs, sign_zero=evaluator.rules.sign_zero, threshold=0))
    if not out:
        raise InputError("the view has no images: no class of the other data set is among its rows")
    return np.concatenate(out)


# ---- from arrays to scores: the same from fresh and from stored arrays ----------------------------------


def complete(arrays: Arrays, codes: Arrays) -> Arrays:
    """A view's arrays with what it shares with `codes.npz` filled in: codes, labels and ids of both sides.

    arrays: the view's own, by their plain names; `query_places` and `database_places` pick rows of `codes`.
    """
    full: Arrays = {}
    for side in ("query", "database"):
        places = arrays.get(f"{side}_places")
        for part in ("codes", "labels", "ids"):
            name = f"{side}_{part}"
            own = codes[name] if places is None else codes[name][places]
            full[name] = arrays.get(name, own)
    return full


def _scores(stored: StoredFit, view: View, arrays: Arrays, engine: str) -> list[Score]:
    rules, bits, codes = stored.opened.evaluator.rules, stored.spec.bits, stored.codes
    if view.kind == "novelty":
        ids = (codes["query_ids"], codes["database_ids"]) if rules.exclude_self else (None, None)
        own = nearest_distances(codes["query_codes"], codes["database_codes"], *ids)
        theirs = nearest_distances(arrays["foreign_codes"], codes["database_codes"])
        return [Score(view=str(view), metric="auroc", value=auroc(own, theirs))]
    if view.kind == "cross":  # rows of different sets are never the same image
        rules = replace(rules, exclude_self=rules.exclude_self and view.target == "both")
    counted = {
        "metrics": METRICS,
        "at": (100,),
        "engine": engine,
        "device": str(stored.opened.evaluator.device),
    }
    result = metrics.evaluate_stored(complete(arrays, codes), bits, rules, **counted)
    return [*scores_of(result, str(view))]
