"""Records and cells as JSON inside the page: every repeated part once, and no text that could end the script."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.files.rounding import rounded
from benchmark.report.context import Context
from benchmark.report.tables.cells import Cell, Sheet, shown_head, shown_text
from benchmark.report.tables.markup import to_grid
from benchmark.report.tables.paper import paper_latex, stable_labels
from benchmark.store.record import Record

#: Characters that HTML or an old JavaScript would act on inside a script element.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"}


def script_json(content: Any) -> str:
    """JSON in ASCII that is safe inside `<script type="application/json">`; numbers that are none become null."""
    text = json.dumps(_finite(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return rounded(content) if math.isfinite(content) else None
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content


class Pool:
    """Values by number: equal ones share theirs."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def put(self, value: Any) -> int:
        """The number of a value (anything that JSON can hold)."""
        key = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        key = f"{type(value).__name__} {key}"
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def records_json(ctx: Context) -> dict[str, Any]:
    """What the page knows of each record. `pool` holds the shared parts, `scores` the names of scores.

    A row: id, pooled specification, bits, seed, state, main mAP, scores as name, value, name, value, ..., pooled
    facts (protocol, environment, command, how to make it again, views), its own facts, failure. Own facts are name,
    value, name, value, ..., the names pooled, and so are values that are text: as a list of their number.
    """
    pool, names = Pool(), Pool()
    rows = [_row(ctx, record, pool, names) for record in ctx.records]
    return {"pool": pool.values, "scores": names.values, "rows": rows, "root": str(ctx.store.root)}


def _row(ctx: Context, record: Record, pool: Pool, names: Pool) -> list[Any]:
    spec = record.spec
    shared = {
        key: value for key, value in spec.told().items() if key not in ("bits", "seed", "schema_version")
    }
    shared["labels"] = spec.label_rule.share
    scores: list[Any] = []
    for score in record.scores:
        scores += [names.put([score.view, score.metric, score.k]), score.value]
    main = record.score("map", "clean" if spec.class_split is None else "unseen-classes")
    own: dict[str, Any] = {
        "source": record.source_digest,
        "updates": record.updates,
        "selected step": record.selected_step,
        **{f"{name} s": round(value, 3) for name, value in _seconds(record)},
        "train images/s": round(record.timings.train_images_per_second, 1),
        "encode images/s": round(record.timings.encode_images_per_second, 1),
        "peak MiB": round(record.peak_memory_mib, 1) or None,
        "GPU MiB": record.peak_gpu_memory_mib,
        "started": record.started,
        "finished": record.finished,
        "sweep": record.sweep,
        **record.facts,
        **{f"health: {name}": value for name, value in record.health.items()},
    }
    failure = record.failure.model_dump(mode="json") if record.failure else None
    facts = [record.protocol, record.environment]
    pooled = [pool.put(one.model_dump(mode="json")) if one else None for one in facts]
    views = [view.model_dump(mode="json", exclude={"evaluated", "commit"}) for view in record.views]
    pooled += [pool.put(record.command), pool.put(views), pool.put(list(record.flags))]
    stale = record.fit_id in ctx.stale
    row = [record.fit_id, pool.put(shared), spec.bits, spec.seed, record.state, main, scores, *pooled]
    told: list[Any] = []
    for name, value in own.items():
        if value not in (None, "", 0):
            told += [pool.put(name), [pool.put(value)] if isinstance(value, str) else value]
    return [*row, ctx.again(record), told, failure, stale]


def _seconds(record: Record) -> Iterable[tuple[str, float]]:
    times = record.timings
    return [(name, getattr(times, name)) for name in ("load", "train", "encode", "score", "total")]


def cell_json(cell: Cell, places: dict[str, int]) -> list[Any] | None:
    """What a cell rests on: values, records (their rows, or an unknown id), planned, failed, stale, p, flags, note.

    None for a cell without records and note: nothing to open.
    """
    if not cell.fits and not cell.note:
        return None
    fits = [places.get(fit, fit) for fit in cell.fits]
    return [
        list(cell.values),
        fits,
        cell.planned,
        cell.failed,
        cell.stale,
        cell.p,
        list(cell.flags),
        cell.note,
    ]


def copies(sheets: Sequence[Sheet]) -> list[list[str]]:
    """Each table as LaTeX for a paper and as CSV: what its buttons copy."""
    labels = stable_labels(sheet.name for sheet in sheets)
    return [[paper_latex(sheet, label=labels[sheet.name]), to_grid(sheet)] for sheet in sheets]


def points_json(sheet: Sheet) -> dict[str, Any]:
    """The values behind a figure as text: drawn as a table when the reader opens it."""
    return {
        "head": shown_head(sheet),
        "keys": sheet.keys,
        "rows": [[shown_text(sheet, row, place) for place in range(len(row))] for row in sheet.rows],
    }
