"""All metrics of one set of codes from one counting pass, with the rules in the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import InputError, unknown
from benchmark.metrics.blocks import Plan, score_counts
from benchmark.metrics.engines import choose_engine, thread_count
from benchmark.metrics.means import joined, scored_problem
from benchmark.metrics.pooled import MACRO
from benchmark.metrics.problem import Hist, Neighbours, Problem, build_problem, neighbours_of
from benchmark.metrics.rules import Rules, checked_cutoff
from benchmark.metrics.table import METRICS, names_of
from benchmark.metrics.ties import Floats

RETRIEVAL, GRADED = names_of("ranking", "pooled"), names_of("graded")


@dataclass(frozen=True)
class Evaluation:
    """What was measured, under which rules.

    Attributes
    ----------
    rules : Rules
        Those of every value.
    bits : int
        Bits of a code.
    queries, database : int
        How many items there were of each.
    engine : str
        Which implementation counted: `numpy`, `numba` or `torch`.
    values : dict of str to float
        Score key ("map", "precision@100", "ndcg", ...) to the mean over queries; NaN where all were skipped.
    per_query : dict of str to float64 (queries,)
        The same keys, NaN where a query was skipped; metrics of the group "pooled" have no score of a query.
    curves : dict of str to array
        `cutoffs` (m,) with `precision`, `recall`, `hit_rate` by rank, and `radius` (bits + 1,) with
        `radius_precision`, `radius_recall` by Hamming radius: the means over queries. With a metric of all pairs
        also `radius_micro_precision` and `radius_micro_recall`.
    """

    rules: Rules
    bits: int
    queries: int
    database: int
    engine: str
    values: dict[str, float]
    per_query: dict[str, Floats]
    curves: dict[str, NDArray[Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the per-query values, JSON-ready: NaN becomes None, curves become lists."""
        return {
            "rules": self.rules.as_dict(),
            "bits": self.bits,
            "queries": self.queries,
            "database": self.database,
            "engine": self.engine,
            "values": {key: finite(value) for key, value in self.values.items()},
            "curves": {key: [finite(one) for one in curve.tolist()] for key, curve in self.curves.items()},
        }


def finite(value: float) -> float | None:
    """The value for JSON: None for NaN."""
    return None if value != value else value


def evaluate(
    query_packed: ArrayLike,
    database_packed: ArrayLike,
    bits: int,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
    *,
    rules: Rules | None = None,
    metrics: Iterable[str] | None = None,
    at: Sequence[int] = (100, 1000),
    cutoffs: Sequence[int] | None = None,
    query_ids: ArrayLike | None = None,
    database_ids: ArrayLike | None = None,
    neighbours: Neighbours | None = None,
    junk: Neighbours | None = None,
    engine: str = "auto",
    threads: int | None = None,
    device: str | None = None,
) -> Evaluation:
    """Score packed codes under `rules`, every metric from one pass of counts; added memory is bounded whatever
    the sizes.

    Parameters
    ----------
    query_packed, database_packed : uint8 (items, ceil(bits / 8))
        Packed codes, see `pack_codes`.
    bits : int
        Bits of a code.
    query_labels, database_labels : (items,) or (items, classes)
        Class indices, or multi-hot rows.
    rules : Rules, optional
        Ties, divisors, cut-off and the rest; the defaults of `Rules` when left out.
    metrics : iterable of str, optional
        Names from METRICS; all that fit when left out, but those that are computed on request alone. NDCG, ACG
        and WAP need multi-hot labels and `relevance="graded"` or an explicit wish.
    at : sequence of int
        The N of `precision@N`, `recall@N` and `hit_rate@N`.
    cutoffs : sequence of int, optional
        Ranks of the curves; about 50, evenly spaced in the logarithm up to the whole database, when left out.
    query_ids, database_ids : (items,), optional
        Needed by `rules.exclude_self`.
    neighbours : Neighbours, optional
        Needed by relevance `neighbours`, under which labels are not read.
    junk : Neighbours, optional
        Items that are left out of a query's ranking: neither right nor wrong.
    engine : str
        `auto`, `numpy`, `numba` or `torch`.
    threads : int, optional
        Every core that this process may use when left out.
    device : str, optional
        For the torch engine.

    Returns
    -------
    Evaluation
        Values, per-query values and curves.

    Raises
    ------
    InputError
        Input that does not fit; the message names it.
    """
    rules = rules if rules is not None else Rules()
    problem = build_problem(
        query_packed,
        database_packed,
        bits,
        query_labels,
        database_labels,
        rules=rules,
        query_ids=query_ids,
        database_ids=database_ids,
        neighbours=neighbours,
        junk=junk,
    )
    wanted = _wanted(metrics, problem, rules)
    ranks = _ranks(at, "at") if wanted & {"precision", "recall", "hit_rate"} else np.empty(0, dtype=np.int64)
    every = np.empty(0, dtype=np.int64)
    if metrics is None or cutoffs is not None:
        every = _ranks(default_cutoffs(problem.items) if cutoffs is None else cutoffs, "cutoffs")
    plan = Plan(rules, frozenset(wanted), ranks, every, problem.levels, problem.items)
    if problem.levels > 1000 and "ndcg" in wanted:
        raise InputError(f"NDCG's gain 2^{problem.levels - 1} overflows: an item has too many labels")
    engine = choose_engine(engine, problem.queries * problem.items, device)
    per_query, curves, values = scored_problem(problem, plan, engine, thread_count(threads), device)
    return Evaluation(rules, int(bits), problem.queries, problem.items, engine, values, per_query, curves)


def evaluate_stored(codes: Mapping[str, NDArray[Any]], bits: int, rules: Rules, **options: Any) -> Evaluation:
    """As `evaluate`, from the arrays of a fit's `codes.npz`, its ids and true neighbours among them.

    Parameters
    ----------
    codes : mapping
        Name to array: `query_codes`, `query_labels`, the same of the database, and what `rules` ask for.
    bits : int
        Bits of a code.
    rules : Rules
        As for `evaluate`.
    **options
        What else `evaluate` takes.

    Returns
    -------
    Evaluation
        Values, per-query values and curves.

    Raises
    ------
    KeyError
        An array is missing.
    InputError
        As `evaluate`.
    """
    packed, labels = ((codes[f"query_{what}"], codes[f"database_{what}"]) for what in ("codes", "labels"))
    options |= {name: codes.get(name) for name in ("query_ids", "database_ids")}
    options |= {"rules": rules, "neighbours": neighbours_of(codes)}
    return evaluate(*packed, bits, *labels, **options)


def _wanted(metrics: Iterable[str] | None, problem: Problem, rules: Rules) -> set[str]:
    """The names of the retrieval metrics to compute; InputError for one that does not fit."""
    if metrics is None:
        graded = problem.labels.multi and rules.relevance == "graded"
        return {name for name in RETRIEVAL + (GRADED if graded else ()) if not METRICS[name].on_request}
    names = set(metrics)
    for name in sorted(names):
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
        if METRICS[name].multi_label_only and not problem.labels.multi:
            raise InputError(f"metric {name!r} needs multi-hot labels; these are class indices")
        if name not in RETRIEVAL + GRADED:
            if METRICS[name].group == "codes":
                raise InputError(f"metric {name!r} is about the codes alone: code_health computes it")
            raise InputError(
                f"metric {name!r} needs a second data set's queries: `run --views novelty:DATASET`"
            )
    return names


def _ranks(values: Sequence[int], name: str) -> NDArray[np.int64]:
    """Cut-offs as sorted distinct ranks; InputError for one below 1."""
    checked = [checked_cutoff(value, name) for value in values]
    if None in checked:
        raise InputError(f"{name} holds None; each must be a whole number of 1 or more")
    return np.unique(np.asarray(checked, dtype=np.int64))


def default_cutoffs(items: int) -> Sequence[int]:
    """About 50 ranks from 1 to the whole database, evenly spaced in the logarithm."""
    ranks = np.rint(np.geomspace(1, max(1, items), 50)).astype(int)
    return sorted({int(rank) for rank in ranks})


def evaluate_counts(
    counts: Hist,
    items: int,
    *,
    rules: Rules | None = None,
    metrics: Iterable[str] | None = None,
    at: Sequence[int] = (100, 1000),
    engine: str = "numpy",
) -> Evaluation:
    """As `evaluate`, from counts that were made piece by piece: a database that exceeds memory.

    Parameters
    ----------
    counts : int64 (queries, bits + 1, 2)
        Of each query, the irrelevant and the relevant items at each Hamming distance.
    items : int
        Database items, excluded ones among them.
    rules, metrics, at
        As for `evaluate`; relevance is `shared`, and ties are not in database order.
    engine : str
        What counted, for the result.

    Returns
    -------
    Evaluation
        Equal to `evaluate`'s of the whole.

    Raises
    ------
    InputError
        A metric or rule that counts alone do not give.
    """
    rules = rules if rules is not None else Rules()
    if rules.ties == "database-order" or rules.relevance != "shared":
        raise InputError("counts by distance give no ranking in database order, and no degrees of relevance")
    usual = [name for name in RETRIEVAL if not METRICS[name].on_request]
    wanted = usual if metrics is None else [*dict.fromkeys(metrics)]
    known = [name for name in RETRIEVAL if name != MACRO]
    if unfit := [name for name in wanted if name not in known]:
        raise unknown("metric of counts", unfit[0], known)
    ranks = (
        _ranks(at, "at") if {*wanted} & {"precision", "recall", "hit_rate"} else np.empty(0, dtype=np.int64)
    )
    every = _ranks(default_cutoffs(items), "cutoffs") if metrics is None else np.empty(0, dtype=np.int64)
    plan = Plan(rules, frozenset(wanted), ranks, every, counts.shape[2], items)
    bits = counts.shape[1] - 1
    per_query, curves, values = joined(
        lambda low, high: score_counts(counts[low:high], plan), len(counts), bits, plan
    )
    return Evaluation(rules, bits, len(counts), items, engine, values, per_query, curves)
