"""The hyper-parameters that each method was run with."""

from __future__ import annotations

import json

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.groups import is_variant
from benchmark.report.tables.cells import Drawn, Sheet, text_cell
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """One table: a row for each method, parameter and value in the records."""
    rows: dict[tuple[str, str, str], list[Record]] = {}
    for name, records in rows_of(ctx.records).items():
        if is_variant(records[0].spec.method):
            continue
        for record in records:
            shown = {**record.spec.params, **_budget(record)}
            for key, value in shown.items():
                rows.setdefault((name, key, json.dumps(value)), []).append(record)
    if not rows:
        return Drawn(gaps=(ctx.no_records("a method", "paper-main"),))
    body = []
    for (name, key, value), records in sorted(rows.items()):
        data = ", ".join(sorted({record.spec.dataset for record in records}))
        fits = sorted(record.fit_id for record in records)
        body.append((text_cell(name), text_cell(key), text_cell(value.strip('"'), fits), text_cell(data)))
    sheet = Sheet(
        name="parameters",
        title="Hyper-parameters of every method",
        head=("method", "parameter", "value", "data sets"),
        rows=tuple(body),
        notes=(
            "null: decided by the recipe or the backbone (the record's facts say how); variants differ from "
            "their base "
            "as the ablation says; what is a paper's own value and what was chosen here stands in docs/methods.md",
        ),
        keys=2,
    )
    return Drawn(sheets=(sheet,))


def _budget(record: Record) -> dict[str, object]:
    found: dict[str, object] = {}
    if record.spec.epochs is not None:
        found = {"(epochs)": record.spec.epochs, "(batch size)": record.spec.batch_size}
    if "optimizer" in record.facts:
        found["(optimizer)"] = record.facts["optimizer"]
    return found


ARTIFACT = Artifact(
    name="parameters",
    aliases=("hyper-parameters",),
    title="Hyper-parameters",
    needs="any record",
    suite="paper-main",
    order=120,
    build=build,
)
