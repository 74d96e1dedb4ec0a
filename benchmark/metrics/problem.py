"""One scoring problem: codes and labels of two sets, checked and laid out for the counting engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics.codes import checked_bits, checked_packed, to_planes
from benchmark.metrics.labels import Labels, match_ids, read_label_pair
from benchmark.metrics.rules import Rules

Hist = NDArray[np.int64]
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Neighbours:
    """Relevant items without labels: those of query i are `rows[offsets[i] : offsets[i + 1]]`.

    Attributes
    ----------
    offsets : int64 (queries + 1,)
        From 0, never falling.
    rows : int64 (n,)
        Places in the database, each once a query.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]

    def of(self, query: int) -> NDArray[np.int64]:
        """The relevant database rows of one query.

        Parameters
        ----------
        query : int
            Its place among the queries.

        Returns
        -------
        int64 (neighbours,)
            Places in the database.
        """
        return self.rows[self.offsets[query] : self.offsets[query + 1]]


def neighbours_of(codes: Mapping[str, NDArray[Any]]) -> Neighbours | None:
    """The true neighbours among stored codes, where the protocol ranks by neighbours.

    Parameters
    ----------
    codes : mapping of str to array
        The arrays of a fit's `codes.npz`.

    Returns
    -------
    Neighbours or None
        None for codes that are scored by label.
    """
    if "neighbour_rows" not in codes:
        return None
    return Neighbours(codes["neighbour_offsets"].astype(np.int64), codes["neighbour_rows"].astype(np.int64))


@dataclass(frozen=True)
class Problem:
    """Queries (words (queries, w)) against a database (word planes (w, items)), with relevance.

    Relevance has `levels` values: 0 and 1, or 0..most for the number of shared labels. `excluded`
    lists (query, row) pairs that do not take part. `by_class` says that the database was sorted by
    class, so that the rows of query i's class are `spans[i]` and need no look-up. With `neighbours` these
    alone are relevant: by its labels nothing is, and the counting engines then move the neighbours.
    """

    bits: int
    levels: int
    query_words: NDArray[np.uint64]
    planes: NDArray[np.uint64]
    query_labels: Labels
    labels: Labels
    by_class: bool
    spans: NDArray[np.int64]
    excluded: tuple[NDArray[np.int64], NDArray[np.int64]] = field(default=(_NONE, _NONE))
    neighbours: Neighbours | None = None

    @property
    def queries(self) -> int:
        """The number of queries."""
        return int(self.query_words.shape[0])

    @property
    def items(self) -> int:
        """The number of database items, excluded ones among them."""
        return int(self.planes.shape[1])

    def query_label_words(self) -> NDArray[np.uint64]:
        """Multi-hot query labels as words of shape (queries, label words)."""
        assert self.query_labels.planes is not None
        return np.ascontiguousarray(self.query_labels.planes.T)

    def distances(
        self, query: int | slice, rows: slice | NDArray[np.int64] = slice(None)
    ) -> NDArray[np.uint16]:
        """Hamming distances of one query to some database rows, (rows,); of a slice of them, (queries, rows)."""
        total: NDArray[np.uint16] | None = None
        for plane, word in zip(self.planes, self.query_words[query].T):
            ones = np.bitwise_count(plane[rows] ^ word[..., None])
            total = ones.astype(np.uint16) if total is None else np.add(total, ones, out=total)
        assert total is not None
        return total

    def gains(self, query: int | slice, rows: slice | NDArray[np.int64] = slice(None)) -> NDArray[Any]:
        """The relevance level of some database rows, for one query or a slice of them, as `distances`."""
        if self.labels.planes is None:
            assert self.labels.classes is not None
            assert self.query_labels.classes is not None
            same = self.labels.classes[rows] == self.query_labels.classes[query][..., None]
            return np.asarray(same, dtype=np.uint16)
        assert self.query_labels.planes is not None
        kind = np.uint16 if self.query_labels.most < 2**16 else np.uint32
        total: NDArray[np.unsignedinteger[Any]] | None = None
        for plane, word in zip(self.labels.planes, self.query_labels.planes[:, query]):
            shared = np.bitwise_count(plane[rows] & word[..., None])
            total = shared.astype(kind) if total is None else np.add(total, shared, out=total)
        assert total is not None
        return np.minimum(total, 1) if self.levels == 2 else total

    def excluded_rows(self, query: int) -> NDArray[np.int64]:
        """The database rows that query must not see."""
        owners, rows = self.excluded
        low, high = np.searchsorted(owners, [query, query + 1])
        return rows[low:high]


def build_problem(
    query_packed: Any,
    database_packed: Any,
    bits: int,
    query_labels: Any,
    database_labels: Any,
    *,
    rules: Rules,
    query_ids: Any = None,
    database_ids: Any = None,
    neighbours: Neighbours | None = None,
    junk: Neighbours | None = None,
) -> Problem:
    """Check packed codes and labels against each other; InputError names what does not fit."""
    bits = checked_bits(bits)
    queries = checked_packed(query_packed, bits, "query codes")
    items = checked_packed(database_packed, bits, "database codes")
    if (rules.relevance == "neighbours") != (neighbours is not None):
        raise InputError("relevance 'neighbours' needs each query's true neighbours, and they need that rule")
    excluded = (_NONE, _NONE)
    if rules.exclude_self:
        excluded = match_ids(query_ids, database_ids, len(queries), len(items))
    if junk is not None:
        excluded = _with_junk(excluded, junk, neighbours, (len(queries), len(items)))
    if neighbours is not None:
        return _by_neighbours(queries, items, bits, neighbours, excluded)
    sizes, graded = (len(queries), len(items)), rules.relevance == "graded"
    left, right = read_label_pair(query_labels, database_labels, sizes, graded=graded)
    levels = max(2, left.most + 1) if left.multi and graded else 2
    words = np.ascontiguousarray(to_planes(queries).T)
    # Rows in class order make relevance a matter of position; a ranking that depends on the order of
    # the database, and a list of excluded rows, need the order that was given.
    if right.classes is None or left.classes is None or rules.ties == "database-order":
        return Problem(bits, levels, words, to_planes(items), left, right, False, _NONE, excluded)
    narrow = right.classes.max() < 2**16  # numpy sorts 16-bit values by radix
    order = np.argsort(right.classes.astype(np.uint16) if narrow else right.classes, kind="stable")
    classes = right.classes[order]
    spans = np.stack([np.searchsorted(classes, left.classes, side) for side in ("left", "right")], axis=1)
    if len(excluded[0]):
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        excluded = (excluded[0], places[excluded[1]])
    planes = to_planes(items[order])
    ranked = Labels(right.size, None, 1, classes=classes)
    return Problem(bits, levels, words, planes, left, ranked, True, spans.astype(np.int64), excluded)


def _by_neighbours(
    queries: NDArray[np.uint8],
    items: NDArray[np.uint8],
    bits: int,
    neighbours: Neighbours,
    excluded: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Problem:
    """A problem without labels: no class is shared, so that every pair counts as irrelevant at first."""
    _check_lists(neighbours, "true neighbours", (len(queries), len(items)))
    words = np.ascontiguousarray(to_planes(queries).T)
    left, right = (np.full(len(side), number, dtype=np.int64) for number, side in enumerate((queries, items)))
    mine, theirs = (Labels(len(side), None, 1, classes=side) for side in (left, right))
    spans = np.zeros((len(queries), 2), dtype=np.int64)
    return Problem(bits, 2, words, to_planes(items), mine, theirs, True, spans, excluded, neighbours)


def _check_lists(lists: Neighbours, name: str, sizes: tuple[int, int]) -> None:
    offsets, rows = lists.offsets, lists.rows
    fits = len(offsets) == sizes[0] + 1 and offsets[0] == 0 and offsets[-1] == len(rows)
    if (
        not fits
        or (np.diff(offsets) < 0).any()
        or (len(rows) and not 0 <= rows.min() <= rows.max() < sizes[1])
    ):
        raise InputError(f"{name} do not fit {sizes[0]:,} queries and {sizes[1]:,} database items")


def _with_junk(
    excluded: tuple[NDArray[np.int64], NDArray[np.int64]],
    junk: Neighbours,
    neighbours: Neighbours | None,
    sizes: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The excluded pairs and each query's junk, each pair once; InputError for junk that is relevant as well."""
    _check_lists(junk, "junk lists", sizes)
    owners = np.repeat(np.arange(sizes[0]), np.diff(junk.offsets))
    pairs = np.concatenate([np.stack(excluded, axis=1), np.stack([owners, junk.rows], axis=1)])
    pairs = np.unique(pairs.astype(np.int64), axis=0)
    for query in range(sizes[0] if neighbours is not None else 0):
        both = np.intersect1d(neighbours.of(query), junk.of(query))  # type: ignore[union-attr]
        if len(both):
            raise InputError(
                f"item {both[0]} is both relevant and junk for query {query}; it must be one of them"
            )
    return pairs[:, 0], pairs[:, 1]
