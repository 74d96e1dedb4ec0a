"""What public repositories compute: the same codes under the rule of each entry of `convention_table`.

Some rank with numpy's default argsort, an unstable
sort: the order it leaves inside a tie follows from no rule, and differs between numpy versions and
processors. Those conventions call the very same function on the very same values, so their number is this
processor's; `tie_orders` has what depends on the codes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules, evaluate
from benchmark.metrics.engines import choose_engine, count, thread_count
from benchmark.metrics.further import FURTHER
from benchmark.metrics.groups import average_precision, grouped_average_precision, tie_groups
from benchmark.metrics.ordered import hits_of_order, ordered_average_precision
from benchmark.metrics.problem import Hist, build_problem
from benchmark.metrics.ties import Floats
from benchmark.scoring.codeset import CodeSet, Pair
from benchmark.scoring.convention_table import CONVENTIONS, Convention
from benchmark.scoring.dense import has_zeros, ranked_lists, signed_pair
from benchmark.scoring.value_rankings import library_scores, rank_values

_CELLS = 1 << 18  # cells of counts at a time


def score_conventions(
    conventions: Sequence[Convention], codes: CodeSet, rules: Rules, seed: int = 0
) -> dict[str, Floats | InputError]:
    """name -> average precision of each query (queries,), NaN where the convention skips the query.

    Of `rules` only `k`, `exclude_self` and, for the tie-group conventions, `sign_zero` count; the rest
    is the convention's. A k beyond the database is the whole database, where some repositories would
    fail. A real-valued ranking of codes without outputs yields the InputError instead of numbers.
    """
    found: dict[str, Floats | InputError] = {}
    rankings: dict[tuple[str, str], list[Convention]] = {}
    for convention in conventions:
        rankings.setdefault((convention.sign, convention.sort), []).append(convention)
    for alike in rankings.values():
        try:
            found |= _scored(alike, codes, rules, seed)
        except InputError as error:
            if not (alike[0].needs_outputs or alike[0].sort == "library"):
                raise
            found |= dict.fromkeys([one.name for one in alike], error)
    for one in conventions:
        values = found[one.name]
        if one.no_label == "skip" and not isinstance(values, InputError):
            found[one.name] = np.where(codes.unlabelled, np.nan, values)
    return {convention.name: found[convention.name] for convention in conventions}


def _scored(alike: Sequence[Convention], codes: CodeSet, rules: Rules, seed: int) -> dict[str, Floats]:
    """Conventions of one `sign` and one `sort`."""
    first = alike[0]
    if first.sort in ("grouped", "positive"):
        counted = _grouped(codes, rules) if first.sort == "grouped" else _positive(codes, rules)
        return dict.fromkeys([one.name for one in alike], counted)
    if first.sign == "zero" and first.sort in ("expected", "first-hits") and not has_zeros(codes):
        return {one.name: _expected(one, codes, rules) for one in alike}
    pair = signed_pair(codes, first.sign, seed)
    if first.sort == "library":
        return {one.name: library_scores(pair, codes, rules) for one in alike}
    if first.sort in ("values", "rerank", "rerank-near", "ball"):
        return {one.name: rank_values(one, pair, codes, rules) for one in alike}
    return _ranked(alike, pair, codes, rules)


def _ids(codes: CodeSet, rules: Rules) -> dict[str, Any]:
    return dict(zip(("query_ids", "database_ids"), codes.ids)) if rules.exclude_self else {}


def _expected(convention: Convention, codes: CodeSet, rules: Rules) -> Floats:
    own = Rules(no_hit=convention.no_hit, k=rules.k, exclude_self=rules.exclude_self)
    metric = "map_first_hits" if convention.sort == "first-hits" else "map"
    scored = evaluate(
        *codes.packed(), codes.bits, *codes.labels, rules=own, metrics=[metric], **_ids(codes, rules)
    )
    return scored.per_query[metric]


def _ranked(
    conventions: Sequence[Convention],
    matrices: Pair,
    codes: CodeSet,
    rules: Rules,
) -> dict[str, Floats]:
    """Walk the queries: products, the repository's sort, average precision of the list it keeps."""
    values = {convention.name: np.full(len(matrices[0]), np.nan) for convention in conventions}
    for query, products, relevant, limit in ranked_lists(matrices, codes, rules):
        order = _order(conventions[0].sort, products, codes.bits, limit)
        for convention in conventions:
            if order is None:
                many = rules.k if convention.sort == "first-hits" else max(1, limit)
                value, found = _tie_average(convention.sort, products, relevant, codes.bits, many)
            else:
                kept = limit - 1 if convention.drop_last and rules.k is None else limit
                hits = hits_of_order(relevant[order[: max(0, kept)]])
                value, found = ordered_average_precision(hits, None, "retrieved-in-k")
            if found or convention.no_hit == "zero":
                values[convention.name][query] = value
    return values


def _order(sort: str, products: NDArray[Any], bits: int, limit: int) -> NDArray[np.intp] | None:
    """The order that a repository's own call leaves; None where it is averaged over."""
    if sort in ("expected", "first-hits"):
        return None
    if sort == "distance":
        return np.argsort(0.5 * (bits - products))
    if sort == "similarity" or not limit:
        return np.argsort(-products)
    distance = -products
    nearest = np.argpartition(distance, limit - 1)[:limit]
    return nearest[np.argsort(distance[nearest])]


def _tie_average(
    sort: str, products: NDArray[Any], relevant: NDArray[np.bool_], bits: int, k: int | None
) -> tuple[float, bool]:
    """The mean over all orders where zeros make half-integer distances: twice the distance is whole."""
    doubled = np.rint(bits - products.astype(np.float64)).astype(np.intp)
    cells = np.bincount(doubled * 2 + relevant, minlength=2 * (2 * bits + 1))
    groups = tie_groups(cells.reshape(1, 2 * bits + 1, 2), "expected")
    if sort == "first-hits":
        value, found = FURTHER["map_first_hits"].of_groups(groups, k)
    else:
        value, found = average_precision(groups, k, "retrieved-in-k")
    return float(value[0]), bool(found[0])


def _grouped(codes: CodeSet, rules: Rules) -> Floats:
    """Precision after each tie, weighted by the recall that the tie adds."""
    return _counted(codes, rules, lambda hist: grouped_average_precision(tie_groups(hist, "expected")))


def _positive(codes: CodeSet, rules: Rules) -> Floats:
    """Average precision where an item at half the bits or farther is never relevant, 0 without a hit."""
    far = -(-codes.bits // 2)  # products of -1/+1 codes are bits - 2 * distance

    def scored(hist: Hist) -> Floats:
        hist[:, far:, 0] += hist[:, far:, 1]
        hist[:, far:, 1] = 0
        return average_precision(tie_groups(hist, "expected"), rules.k, "retrieved-in-k")[0]

    return _counted(codes, rules, scored)


def _counted(codes: CodeSet, rules: Rules, scored: Callable[[Hist], Floats]) -> Floats:
    """What `scored` makes of the counts (queries, distances, relevance) of each block of queries, (queries,)."""
    own = Rules(exclude_self=rules.exclude_self, sign_zero=rules.sign_zero)
    packed = codes.packed(rules.sign_zero)
    problem = build_problem(*packed, codes.bits, *codes.labels, rules=own, **_ids(codes, rules))
    engine = choose_engine("auto", problem.queries * problem.items)
    values = np.empty(problem.queries)
    step = max(1, _CELLS // (2 * codes.bits + 2))
    for low in range(0, problem.queries, step):
        high = min(low + step, problem.queries)
        hist = count(problem, low, high, engine, thread_count(None), None)
        values[low:high] = scored(hist)
    return values


def comparable(scored: Mapping[str, Any], k: int | None, items: int) -> list[str]:
    """The conventions whose numbers are of one kind: those that know no cut-off are left out where k cuts."""
    cut = k is not None and k < items
    return [name for name in scored if not CONVENTIONS[name].apart(cut)]


def spread(values: Iterable[float]) -> float:
    """Largest minus smallest of the numbers that could be computed (0 where there is none)."""
    known = [value for value in values if value == value]
    return max(known) - min(known) if known else 0.0
