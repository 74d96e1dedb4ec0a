"""Counts of a results folder: finished, failed, stale, unfinished, still planned; and the time left."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.store.index import Index, Row
from benchmark.store.locks import running
from benchmark.store.store import Store
from benchmark.store.sweeps import planned_fits, wanted_views


def collect(root: Path) -> dict[str, Any]:
    """Everything `status` shows, JSON-ready."""
    store = Store(root)
    index = Index(store)
    everything = index.rows()
    problems = [row.problem for row in everything if row.problem]
    failed = [row for row in everything if row.state == "failed"]
    done = [row for row in everything if row.state == "done"]
    stale = [row for row in done if not registry.is_current(row.method, row.source_digest)]
    busy = running(root)
    planned = planned_fits(store, {row.fit_id for row in everything})
    labels = {**{row.fit_id: row.label for row in everything}, **planned}
    planned = {fit_id: label for fit_id, label in planned.items() if fit_id not in busy}
    current = {row.fit_id: row for row in done} if (wanted := wanted_views(store)) else {}
    lacking = [
        current[fit_id] for fit_id in wanted if fit_id in current and wanted[fit_id] - current[fit_id].has
    ]
    return {
        "results": str(root),
        "counts": {
            "done": len(done) - len(stale),
            "stale": len(stale),
            "failed": len(failed),
            "running": len(busy),
            "planned": len(planned),
            "with views missing": len(lacking),
            "unreadable": len(problems),
        },
        "finished": [{"fit_id": row.fit_id, "label": row.label} for row in done if row not in stale],
        "running": [
            {"label": labels.get(fit_id, fit_id), **told, "fit_id": fit_id} for fit_id, told in busy.items()
        ],
        "failures": [_row(row, row.reason) for row in failed],
        "stale": [_row(row, "its method's source changed since") for row in stale],
        "views_missing": [
            _row(row, f"{len(wanted[row.fit_id] - row.has)} views missing, from stored weights")
            for row in lacking
        ],
        "unfinished": [
            {"fit_id": name[-16:], "label": name, "reason": "has a training state"}
            for name in index.unfinished()
            if name[-16:] not in busy
        ],
        "unreadable": problems,
        **_time_left(planned, done),
    }


def _row(row: Row, reason: str) -> dict[str, str]:
    return {"fit_id": row.fit_id, "label": row.label, "reason": reason}


def _time_left(planned: dict[str, str], done: list[Row]) -> dict[str, Any]:
    """Planned fits times what fits of the same method and data set took here on average.

    Fits of which none is finished are counted apart: another method's times say nothing of them.
    """
    measured: dict[tuple[str, ...], list[float]] = {}
    for row in done:
        measured.setdefault((row.method, row.dataset), []).append(row.seconds)
    means = {key: statistics.fmean(times) for key, times in measured.items()}
    known = [means[key] for label in planned.values() if (key := tuple(label.split()[:2])) in means]
    return {
        "seconds_left": round(sum(known), 1) if known else None,
        "planned_unmeasured": len(planned) - len(known),
    }
