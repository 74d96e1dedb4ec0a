"""Queries are scored block by block; here the blocks become per-query scores, means and curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.blocks import Block, Plan, score_counts, score_order
from benchmark.metrics.engines import count
from benchmark.metrics.pooled import MACRO, MICRO, macro, micro, query_classes
from benchmark.metrics.problem import Hist, Problem
from benchmark.metrics.ties import Floats

_CELLS = 1 << 18  # cells of a block's counts: what bounds the memory of the metrics


def scored_problem(
    problem: Problem, plan: Plan, engine: str, threads: int, device: str | None
) -> tuple[dict[str, Floats], dict[str, NDArray[Any]], dict[str, float]]:
    """Score the queries block by block: per-query scores, the means of the curves, and the values."""
    asked, classes = plan.wanted, query_classes(problem) if MACRO in plan.wanted else None
    plan = replace(plan, wanted=asked | {"map"}) if classes is not None else plan

    def block(low: int, high: int) -> Block:
        if plan.rules.ties == "database-order":
            return score_order(problem, plan, low, high, engine, threads)
        return score_counts(count(problem, low, high, engine, threads, device), plan)

    per_query, curves, values = joined(block, problem.queries, problem.bits, plan)
    if classes is not None:
        values[MACRO] = macro(per_query["map"], classes)
    if "map" not in asked:
        per_query.pop("map", None), values.pop("map", None)
    return per_query, curves, values


def joined(
    scored: Callable[[int, int], Block], queries: int, bits: int, plan: Plan
) -> tuple[dict[str, Floats], dict[str, NDArray[Any]], dict[str, float]]:
    """Blocks of queries together: per-query scores, the means of the curves, and the values."""
    pairs: Hist | None = None
    step = max(1, _CELLS // ((bits + 1) * plan.levels + len(plan.cutoffs)))
    columns: dict[str, list[Floats]] = {}
    sums: dict[str, list[Floats]] = {}
    for low in range(0, queries, step):
        block = scored(low, min(low + step, queries))
        if block.pooled is not None:
            pairs = block.pooled if pairs is None else pairs + block.pooled
        for key, column in block.values.items():
            columns.setdefault(key, []).append(column)
        for key, curve in block.curves.items():
            known = ~np.isnan(curve)
            part = np.stack([np.where(known, curve, 0.0).sum(axis=0), known.sum(axis=0)])
            sums.setdefault(key, []).append(part)
    curves: dict[str, NDArray[Any]] = {}
    if len(plan.cutoffs):
        curves = {"cutoffs": plan.cutoffs, "radius": np.arange(bits + 1)}
    for key, parts in sums.items():
        total, known = np.sum(parts, axis=0)
        curves[key] = np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
    per_query = {key: np.concatenate(parts) for key, parts in columns.items()}
    values = {key: _mean(column) for key, column in per_query.items()}
    if pairs is not None:
        found, by_radius = micro(pairs, plan.rules)
        values |= {key: found[key] for key in MICRO if key in plan.wanted}
        curves |= {"radius": np.arange(bits + 1), **by_radius}
    return per_query, curves, values


def _mean(column: Floats) -> float:
    kept = column[~np.isnan(column)]
    return float(kept.mean()) if len(kept) else float("nan")
