"""Convention spread: the same codes under the rule of each public repository."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.metrics import Rules
from benchmark.report.artifact import Artifact
from benchmark.report.artifacts.precision_recall import all_picked
from benchmark.report.context import Context
from benchmark.report.groups import Group
from benchmark.report.map_table import group_facts
from benchmark.report.selections import pick
from benchmark.report.tables.cells import Cell, Drawn, Gap, Sheet, number_cell, text_cell
from benchmark.scoring.codeset import CodeSet, load_codes
from benchmark.scoring.convention_table import REPORTED
from benchmark.scoring.conventions import score_conventions, spread
from benchmark.scoring.tie_orders import tie_orders
from benchmark.store.record import Record

#: Rows of one table: the methods with the highest mAP, and queries scored, evenly spaced.
_ROWS, _QUERIES = 4, 200
#: One value; or, where ties are open, mean, least and largest.
Found = tuple[float, ...]


def build(ctx: Context) -> Drawn:
    """One table per main group, of its best methods (conventions that need real-valued outputs are gaps)."""
    sheets, gaps = [], list[Gap]()
    for group in ctx.main_groups:
        picked = pick(group)
        names = sorted(picked, key=lambda name: (-(picked[name].score() or 0.0), name))[:_ROWS]
        rows = {name: found for name in names if (found := _scores(ctx, picked[name])) is not None}
        if rows:
            sheets.append(_sheet(group, rows, picked))
    if not sheets:
        gaps.append(ctx.no_records("stored codes", "paper-codes"))
    return Drawn(tuple(sheets), (), tuple(gaps))


def _scores(ctx: Context, record: Record) -> dict[str, Found | None] | None:
    """convention -> what it gives (None: not computable from sign codes)."""
    if record.protocol is None:
        return None
    try:
        codes = _thinned(load_codes((str(ctx.store.folder(record.spec) / "codes.npz"),)))
        rules = Rules(**{name: record.protocol.rules[name] for name in Rules.__dataclass_fields__})
        certain = [one for one in REPORTED.values() if not one.open_ties]
        values = score_conventions(certain, codes, rules)
        orders = tie_orders([*REPORTED.values()], codes, rules)
    except (InputError, KeyError, TypeError, ValueError):
        return None
    found = {name: _mean(one) for name, one in values.items()}
    found |= {name: _mean(*three) for name, three in orders.items()}
    return {name: found[name] for name in REPORTED}


def _mean(*values: NDArray[np.float64] | InputError) -> Found | None:
    known = [one for one in values if not isinstance(one, InputError) and not np.isnan(one).all()]
    return tuple(float(np.nanmean(one)) for one in known) if len(known) == len(values) else None


def _cell(found: Found | None, fit: str) -> Cell:
    """The value; of an unstable sort its mean over all orders inside ties, and between which two it may lie."""
    cell = number_cell(found[0] if found else None, [fit])
    return replace(cell, unit=f" [{found[1]:.4f}, {found[2]:.4f}]") if found and len(found) > 1 else cell


def _thinned(codes: CodeSet) -> CodeSet:
    """The same database, evenly spaced queries: enough to show what a convention does."""
    count = len(codes.matrices[0])
    rows = np.linspace(0, count - 1, min(_QUERIES, count)).astype(int)
    ids = None if codes.ids[0] is None else codes.ids[0][rows]
    matrices, labels = (codes.matrices[0][rows], codes.matrices[1]), (codes.labels[0][rows], codes.labels[1])
    return CodeSet(codes.name, codes.bits, matrices, None, labels, (ids, codes.ids[1]), codes.notes)


def _sheet(group: Group, rows: dict[str, dict[str, Found | None]], picked: dict[str, Record]) -> Sheet:
    names = [name for name in REPORTED if any(found[name] is not None for found in rows.values())]
    methods = list(rows)
    body = []
    for name in names:
        cells = [_cell(rows[one][name], picked[one].fit_id) for one in methods]
        body.append((text_cell(name), *cells, text_cell(REPORTED[name].describe())))
    wide = [
        number_cell(spread(v[0] for v in rows[one].values() if v is not None), [picked[one].fit_id])
        for one in methods
    ]
    body.append((text_cell("spread"), *wide, text_cell("largest minus smallest")))
    seeds = ", ".join(map(str, sorted({picked[one].spec.seed for one in methods})))
    absent = [name for name in REPORTED if name not in names]
    notes = [
        f"the very same codes, at most {_QUERIES} evenly spaced queries against the whole database, seed "
        f"{seeds}, {picked[methods[0]].spec.bits} bits",
        "in brackets what the order that an unstable sort leaves inside ties can give; it differs between "
        "processors and numpy versions, so the mean over all orders stands before it",
        *group.captions,
    ]
    if absent:
        notes.insert(
            1, f"not computable from stored sign codes (they rank real-valued outputs): {', '.join(absent)}"
        )
    return Sheet(
        name=f"conventions-{group.slug}",
        title=f"mAP of the same codes under each repository's rule: {group.title}",
        head=("convention", *methods, "rule"),
        rows=tuple(body),
        notes=tuple(notes),
        metric="map",
        facts=group_facts(group),
    )


ARTIFACT = Artifact(
    name="conventions",
    title="Convention spread",
    needs="stored codes (every run stores them)",
    suite="paper-codes",
    order=95,
    build=build,
    codes=lambda ctx: all_picked(ctx, _ROWS),
)
