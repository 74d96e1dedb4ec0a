"""What public repositories compute, as data: the same codes under each one's rules.

Every convention states the file it reproduces. Some rank with numpy's default argsort, an unstable
sort: the order it leaves inside a tie follows from no rule, and differs between numpy versions and
processors. Those conventions call the very same function on the very same values, so their number is this
processor's; `tie_orders` has what depends on the codes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError, unknown
from benchmark.metrics import Rules, evaluate
from benchmark.metrics.engines import choose_engine, count, thread_count
from benchmark.metrics.groups import average_precision, grouped_average_precision, tie_groups
from benchmark.metrics.labels import match_ids
from benchmark.metrics.ordered import hits_of_order, ordered_average_precision
from benchmark.metrics.problem import Hist, build_problem
from benchmark.metrics.ties import Floats
from benchmark.scoring.codeset import CodeSet
from benchmark.scoring.dense import Relevance, has_zeros, scores, signed_pair

_CELLS = 1 << 18  # cells of counts at a time
_UNSTABLE = "ties as numpy's unstable argsort leaves them"
_TOPK = "ties averaged (torch.topk leaves them open)"


@dataclass(frozen=True)
class Convention:
    """One repository's rule. `sign` and `sort` name what `signed_pair` and `_SORTS` do."""

    name: str
    source: str
    sign: str  # zero: sign(0) = 0; random: sign(0) drawn; none: real-valued outputs; rule: as Rules say
    sort: str
    no_hit: str
    note: str
    drop_last: bool = False
    takes_k: bool = True

    @property
    def open_ties(self) -> bool:
        """Whether an unstable sort decides what stands where inside ties."""
        return self.sign != "none" and self.sort in ("distance", "similarity", "partition")

    def describe(self) -> str:
        """The rule in a few words, fit for a table."""
        signs = {
            "zero": "sign(0) = 0",
            "random": "sign(0) random",
            "none": "real-valued ranking",
            "rule": "Hamming ranking",
        }
        parts = [signs[self.sign], f"no hit: {self.no_hit}"]
        if self.drop_last:
            parts.append("mAP@all drops the last item")
        if not self.takes_k:
            parts.append("no cut-off")
        return "; ".join([*parts, self.note])


_DHP = "swuxyj/DeepHash-pytorch utils/tools.py CalcTopMap"
_DEEPHASH = "thulab/DeepHash evaluation/__init__.py get_mAPs"
_ALL = (
    Convention("deephash-pytorch", _DHP, "zero", "distance", "zero", _UNSTABLE, drop_last=True),
    Convention("deephash-pytorch-intended", _DHP, "zero", "distance", "zero", _UNSTABLE),
    Convention(
        "hashnet-pytorch", "thuml/HashNet pytorch/src/test.py", "zero", "similarity", "skip", _UNSTABLE
    ),
    Convention(
        "hashgan", "thuml/HashGAN lib/metric.py", "none", "similarity", "skip", "inner product of the outputs"
    ),
    Convention(
        "deephash-tf",
        _DEEPHASH + " (i2i_after_sign)",
        "random",
        "partition",
        "skip",
        "ties as argpartition and argsort leave them",
    ),
    Convention(
        "deephash-tf-feature",
        _DEEPHASH + " (i2i_by_feature)",
        "none",
        "partition",
        "skip",
        "inner product of the outputs",
    ),
    Convention("orthohash", "kamwoh/orthohash functions/hashing.py", "zero", "expected", "zero", _TOPK),
    Convention(
        "single-loss",
        "khoadoan106/single_loss_quantization python/metrics/ranking.py",
        "zero",
        "distance",
        "zero",
        _UNSTABLE,
    ),
    Convention("fire", "CISiPLab/cisip-FIRe functions/metrics.py", "zero", "expected", "zero", _TOPK),
    Convention(
        "torchmetrics",
        "Lightning-AI/torchmetrics 1.9 retrieval RetrievalMAP(top_k=k), on inner products of the codes",
        "rule",
        "positive",
        "zero",
        f"relevant items whose product is 0 or less count as not relevant; {_TOPK}",
    ),
    Convention(
        "scikit-learn",
        "scikit-learn sklearn/metrics/_ranking.py average_precision_score, one call a query",
        "rule",
        "grouped",
        "zero",
        "a tie enters as a whole",
        takes_k=False,
    ),
)

#: name -> Convention, in the order in which they are shown.
CONVENTIONS: dict[str, Convention] = {convention.name: convention for convention in _ALL}


def choose_conventions(names: str) -> list[Convention]:
    """The conventions named in "all" or "a,b"; InputError, with suggestions, for an unknown one."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted or "all" in wanted:
        return list(CONVENTIONS.values())
    for name in wanted:
        if name not in CONVENTIONS:
            raise unknown("convention", name, [*CONVENTIONS, "all"])
    return [CONVENTIONS[name] for name in dict.fromkeys(wanted)]


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
    for (sign, sort), alike in rankings.items():
        if sort in ("grouped", "positive"):
            counted = _grouped(codes, rules) if sort == "grouped" else _positive(codes, rules)
            scored: dict[str, Floats] = dict.fromkeys([one.name for one in alike], counted)
        elif sort == "expected" and not has_zeros(codes):
            scored = {one.name: _expected(one, codes, rules) for one in alike}
        else:
            try:
                scored = _ranked(alike, signed_pair(codes, sign, seed), codes, rules)
            except InputError as error:
                if sign != "none":
                    raise
                found.update(dict.fromkeys([one.name for one in alike], error))
                continue
        found.update(scored)
    return {convention.name: found[convention.name] for convention in conventions}


def _ids(codes: CodeSet, rules: Rules) -> dict[str, Any]:
    return dict(zip(("query_ids", "database_ids"), codes.ids)) if rules.exclude_self else {}


def _expected(convention: Convention, codes: CodeSet, rules: Rules) -> Floats:
    own = Rules(no_hit=convention.no_hit, k=rules.k, exclude_self=rules.exclude_self)
    scored = evaluate(
        *codes.packed(), codes.bits, *codes.labels, rules=own, metrics=["map"], **_ids(codes, rules)
    )
    return scored.per_query["map"]


def _ranked(
    conventions: Sequence[Convention],
    matrices: tuple[NDArray[Any], NDArray[Any]],
    codes: CodeSet,
    rules: Rules,
) -> dict[str, Floats]:
    """Walk the queries: products, the repository's sort, average precision of the list it keeps."""
    values = {convention.name: np.full(len(matrices[0]), np.nan) for convention in conventions}
    for query, products, relevant, limit in ranked_lists(matrices, codes, rules):
        order = _order(conventions[0].sort, products, codes.bits, limit)
        for convention in conventions:
            if order is None:
                value, found = _tie_average(products, relevant, codes.bits, limit)
            else:
                kept = limit - 1 if convention.drop_last and rules.k is None else limit
                hits = hits_of_order(relevant[order[: max(0, kept)]])
                value, found = ordered_average_precision(hits, None, "retrieved-in-k")
            if found or convention.no_hit == "zero":
                values[convention.name][query] = value
    return values


def ranked_lists(
    matrices: tuple[NDArray[Any], NDArray[Any]], codes: CodeSet, rules: Rules
) -> Iterator[tuple[int, NDArray[Any], NDArray[np.bool_], int]]:
    """(query, its products with every item, which are relevant, how many are kept) for each query in turn."""
    queries, items = matrices
    relevance = Relevance(codes)
    owners, rows = match_ids(*codes.ids, len(queries), len(items)) if rules.exclude_self else (None, None)
    for query, products in scores(queries, items):
        relevant = relevance.of(query)
        if owners is not None and rows is not None:
            absent = rows[owners == query]
            products, relevant = np.delete(products, absent), np.delete(relevant, absent)
        yield query, products, relevant, len(products) if rules.k is None else min(rules.k, len(products))


def _order(sort: str, products: NDArray[Any], bits: int, limit: int) -> NDArray[np.intp] | None:
    """The order that a repository's own call leaves; None where it is averaged over."""
    if sort == "expected":
        return None
    if sort == "distance":
        return np.argsort(0.5 * (bits - products))
    if sort == "similarity" or not limit:
        return np.argsort(-products)
    distance = -products
    nearest = np.argpartition(distance, limit - 1)[:limit]
    return nearest[np.argsort(distance[nearest])]


def _tie_average(
    products: NDArray[Any], relevant: NDArray[np.bool_], bits: int, limit: int
) -> tuple[float, bool]:
    """The mean over all orders where zeros make half-integer distances: twice the distance is whole."""
    doubled = np.rint(bits - products.astype(np.float64)).astype(np.intp)
    cells = np.bincount(doubled * 2 + relevant, minlength=2 * (2 * bits + 1))
    groups = tie_groups(cells.reshape(1, 2 * bits + 1, 2), "expected")
    value, found = average_precision(groups, max(1, limit), "retrieved-in-k")
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
    """The conventions whose numbers are at the same cut-off: those that know none are left out where k cuts."""
    return [name for name in scored if k is None or k >= items or CONVENTIONS[name].takes_k]


def spread(values: Iterable[float]) -> float:
    """Largest minus smallest of the numbers that could be computed (0 where there is none)."""
    known = [value for value in values if value == value]
    return max(known) - min(known) if known else 0.0
