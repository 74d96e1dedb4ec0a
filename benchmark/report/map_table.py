"""Sheets of mAP by method (rows): marks, significance, and the notes that every number needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from benchmark.metrics import METRICS
from benchmark.report.context import Context
from benchmark.report.declared_methods import titled
from benchmark.report.groups import Group
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, Comparison
from benchmark.report.tables.cells import Cell, Sheet, best_first, cell_of, rank, text_cell
from benchmark.store.record import Record

BOLD = (
    "bold: best of its column, its lead over the runner-up more than chance among seeds "
    f"(p < {LEVEL:g} from at least {MIN_SEEDS} common seeds); in brackets the p-value of that lead, in this column "
    "alone (Student's t over seeds and queries, times the number of rivals; the 95 % interval below is adjusted "
    "alike); underlined: second, or best by a lead that may be chance or could not be tested"
)
BREAKS = "†: fewer seeds than planned"
OLD = "‡: the method's source has changed since this was measured"


def map_sheet(
    ctx: Context,
    group: Group,
    rows: Mapping[str, Sequence[Record]],
    columns: Sequence[tuple[str, Callable[[Record], bool]]],
    *,
    name: str,
    title: str,
    value: Callable[[Record], float | None] = lambda record: record.score("map"),
    notes: Iterable[str] = (),
    corner: str = "method",
    planned: int | None = None,
    metric: str = "map",
    test: bool = True,
) -> Sheet:
    """mean ± sd over seeds of `value`, by row and column; `columns` are (title, which records).

    planned: how many seeds a full cell has (default: as many as the group has). test: mark the best of a column,
    bold where the lead over the runner-up could be tested on stored codes.
    """
    seeds = len(group.seeds) if planned is None else planned
    by_column: dict[str, dict[str, Cell]] = {}
    tests: list[str] = []
    for head, keep in columns:
        parts = {row: [r for r in records if keep(r)] for row, records in rows.items()}
        cells = {row: cell_of(records, value, seeds, ctx.stale) for row, records in parts.items()}
        marked = rank(cells, METRICS[metric].direction)
        if test and metric == "map":
            marked, line = _with_test(ctx, marked, parts)
            tests += [f"{head}: {line}"] if line else []
        by_column[head] = marked
    lines = {row: [by_column[head][row] for head, _ in columns] for row in rows}
    body = tuple((text_cell(row), *lines[row]) for row in by_score(lines, METRICS[metric].direction))
    every = [cell for cells in by_column.values() for cell in cells.values()]
    return Sheet(
        name=name,
        title=title,
        head=(corner, *(head for head, _ in columns)),
        rows=body,
        notes=(*notes, *_marks(every, test=test), *tests, *common_notes(group.captions, group.records)),
        metric=metric,
        facts=group_facts(group),
    )


def by_score(lines: Mapping[str, Sequence[Cell]], direction: str = "max") -> list[str]:
    """Rows, the best mean over their cells first; rows without a number last, by name."""
    known = {row: [cell.mean for cell in cells if cell.mean is not None] for row, cells in lines.items()}
    return best_first({row: fmean(means) if means else None for row, means in known.items()}, direction)


def _with_test(
    ctx: Context, cells: dict[str, Cell], parts: Mapping[str, Sequence[Record]]
) -> tuple[dict[str, Cell], str]:
    """Give the best cell the p-value of its lead; and one line that says it with its interval."""
    best = sorted(row for row, cell in cells.items() if cell.mark == "best")
    second = sorted(row for row, cell in cells.items() if cell.mark == "second")
    if not best or not second:
        return cells, ""
    if len(best) > 1:
        return cells, f"{', '.join(map(titled, best))} are equal"
    rivals = sum(cell.mean is not None for cell in cells.values()) - 1
    found: Comparison | None = ctx.queries.compare(parts[best[0]], parts[second[0]], rivals)
    if found is None:
        return cells, ""
    # One seed: no test. Not ahead on the common seeds: no lead that a p-value could be of.
    p = None if math.isnan(found.p) or found.difference <= 0 else found.p
    tested = replace(cells[best[0]], p=p, common=len(found.seeds))
    return {**cells, best[0]: tested}, f"{titled(best[0])} over {titled(second[0])}: {found.text}"


def _marks(cells: Sequence[Cell], *, test: bool) -> Iterable[str]:
    if test and any(cell.mark for cell in cells):
        yield BOLD
    if any(cell.values and len(cell.values) < cell.planned for cell in cells):
        yield BREAKS
    if any(cell.stale for cell in cells):
        yield OLD


def common_notes(captions: Iterable[str], records: Sequence[Record]) -> Iterable[str]:
    """What stands below every table: seeds, protocol, flags, failures, commits and commands."""
    seeds = sorted({record.spec.seed for record in records})
    shown = ", ".join(map(str, seeds))
    yield f"mean ± standard deviation (n - 1) over seeds {shown}" if len(seeds) > 1 else f"one seed: {shown}"
    yield from captions
    flags = sorted({(r.spec.label, flag) for r in records if r.state == "done" for flag in r.flags})
    for label, flag in flags:
        yield f"{label}: {flag}"
    for record in records:
        if record.failure is not None:
            yield f"failed: {record.spec.label}: {record.failure.kind}: {record.failure.message[:160]}"
    yield f"measured at commit {', '.join(sorted({_commit(record) for record in records}))}"
    yield from sorted({f"command: {record.command}" for record in records if record.command})


def _commit(record: Record) -> str:
    if record.environment is None:
        return "unknown"
    return record.environment.commit[:10] + (" with uncommitted changes" if record.environment.dirty else "")


def group_facts(group: Group) -> dict[str, Any]:
    """What a group's numbers have in common, for the columns of a CSV."""
    spec = group.spec
    return {
        "dataset": group.dataset,
        "protocol": group.protocol,
        "share": spec.label_rule.share,
        "noise": spec.label_noise,
        "class_split": "" if spec.class_split is None else spec.class_split,
        "selection": spec.selection,
        "backbone": spec.network,
        "weights": spec.weights,
        "epochs": spec.epochs or "",
        "batch_size": spec.batch_size or "",
    }
