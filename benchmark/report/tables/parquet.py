"""Cells and records as Parquet, for whoever works on with them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from benchmark.files.rounding import rounded_all
from benchmark.report.tables.cells import Sheet
from benchmark.report.tables.markup import csv_rows
from benchmark.store.record import Record


def cells_parquet(sheets: Iterable[tuple[str, Sheet]]) -> bytes:
    """The rows of `cells.csv`, typed."""
    rows = csv_rows(sheets)
    for row in rows:
        row["fits"] = str(row["fits"]).split()
    return _parquet(rows, {"mean": "float64", "sd": "float64", "p": "float64", "fits": "list"})


def records_parquet(records: Iterable[Record]) -> bytes:
    """One row per score of every record (one with no score for a failed one), with the whole specification."""
    rows = []
    for record in records:
        spec = record.spec.model_dump(mode="json", exclude={"params", "schema_version"})
        common: dict[str, Any] = {"fit_id": record.fit_id, **spec, "state": record.state}
        common |= {
            "updates": record.updates,
            "train_seconds": record.timings.train,
            "encode_images_per_second": record.timings.encode_images_per_second,
            "peak_memory_mib": record.peak_memory_mib,
            "commit": record.environment.commit if record.environment else "",
            "device": record.environment.device if record.environment else "",
            "failure": record.failure.kind if record.failure else "",
            "flags": "; ".join(record.flags),
        }
        empty = {"view": "", "metric": "", "k": None, "value": None}
        scores = [score.model_dump() for score in record.scores] or [empty]
        rows += [{**common, **score} for score in scores]
    numbers = dict.fromkeys(("labels_per_class", "class_split", "epochs", "batch_size", "k"), "int64")
    return _parquet(
        rounded_all(rows),
        {**numbers, "value": "float64", "label_fraction": "float64", "label_noise": "float64"},
    )


def _parquet(rows: list[dict[str, Any]], types: dict[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = {"float64": pa.float64(), "int64": pa.int64(), "list": pa.list_(pa.string())}
    names = list(rows[0]) if rows else list(types)
    columns = {}
    for name in names:
        values = [None if row.get(name) == "" and name in types else row.get(name) for row in rows]
        mixed = len({type(value) for value in values if value is not None}) > 1
        if name in types:
            columns[name] = pa.array(values, known[types[name]])
        else:
            columns[name] = pa.array([str(v) if mixed and v is not None else v for v in values])
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()
