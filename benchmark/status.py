"""Counts of a results folder: finished, failed, stale, unfinished, still planned; and the time left."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.records import Record, Store


def collect(root: Path) -> dict[str, Any]:
    """Everything `status` shows, JSON-ready."""
    store = Store(root)
    records = list(store.records())
    failed = [record for record in records if record.state == "failed"]
    done = [record for record in records if record.state == "done"]
    old = stale_fits(done)
    stale = [record for record in done if record.fit_id in old]
    unfinished = store.unfinished()
    planned = _planned(root, {record.fit_id for record in records})
    return {
        "results": str(root),
        "counts": {
            "done": len(done) - len(stale),
            "stale": len(stale),
            "failed": len(failed),
            "planned": len(planned),
            "unreadable": len(problems := list(store.unreadable())),
        },
        "failures": [_row(r, f"{r.failure.kind}: {r.failure.message}" if r.failure else "") for r in failed],
        "stale": [_row(record, "its method's source changed since") for record in stale],
        "unfinished": [
            {"fit_id": folder.name[-16:], "label": "/".join(folder.parts[-3:]), "reason": "has a checkpoint"}
            for folder in unfinished
        ],
        "unreadable": problems,
        "seconds_left": _seconds_left(planned, done),
    }


def stale_fits(records: Iterable[Record]) -> set[str]:
    """Ids of the fits whose method's source has changed since. A method that is not installed here cannot be
    compared, so its fits are not called stale.
    """
    sources = {entry.name: entry.digest for entry in registry.entries("methods") if not entry.error}
    return {r.fit_id for r in records if sources.get(r.spec.method, r.source_digest) != r.source_digest}


def _row(record: Record, reason: str) -> dict[str, str]:
    return {"fit_id": record.fit_id, "label": record.spec.label, "reason": reason}


def _planned(root: Path, finished: set[str]) -> dict[str, str]:
    """fit_id -> label of what the saved sweeps plan and no record answers."""
    found: dict[str, str] = {}
    for path in sorted(root.glob("sweeps/*.json")):
        try:
            rows = json.loads(path.read_text())
            found |= {str(row["fit_id"]): str(row["label"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {fit_id: label for fit_id, label in found.items() if fit_id not in finished}


def _seconds_left(planned: dict[str, str], done: list[Record]) -> float | None:
    """Planned fits times what fits of the same method and data set took here; None when nothing is planned."""
    if not planned or not done:
        return None
    measured: dict[tuple[str, ...], list[float]] = {}
    for record in done:
        key = (record.spec.method, record.spec.dataset)
        measured.setdefault(key, []).append(record.timings.total)
    overall = statistics.mean(record.timings.total for record in done)
    total = 0.0
    for label in planned.values():
        times = measured.get(tuple(label.split()[:2]))
        total += statistics.mean(times) if times else overall
    return round(total, 1)
