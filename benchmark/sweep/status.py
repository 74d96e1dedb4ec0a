"""Counts of a results folder: finished, failed, stale, unfinished, still planned; and the time left."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.store.index import Index, Row
from benchmark.store.locks import running
from benchmark.store.store import Store
from benchmark.store.sweeps import Awaited, planned_fits, wanted_views


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
    labels = {row.fit_id: row.label for row in everything}
    labels |= {fit_id: fit.label for fit_id, fit in planned.items()}
    waiting = [fit for fit_id, fit in planned.items() if fit_id not in busy]
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
            "planned": len(waiting),
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
            {
                "fit_id": name[-16:],
                "label": labels.get(name[-16:], name),
                "reason": "was stopped; the same command continues it from its training state",
            }
            for name in index.unfinished()
            if name[-16:] not in busy
        ],
        "unreadable": problems,
        **_time_left(waiting, [*busy.values()], done),
    }


def _row(row: Row, reason: str) -> dict[str, str]:
    return {"fit_id": row.fit_id, "label": row.label, "reason": reason}


def _time_left(waiting: list[Awaited], busy: list[dict[str, Any]], done: list[Row]) -> dict[str, Any]:
    """The planned fits by what fits of the same method and data set took here, training scaled to their epochs, and
    what the running ones say of themselves; shared by as many workers as there are fits that run.

    Fits of which none is finished are counted apart: another method's times say nothing of them.
    """
    measured: dict[tuple[str, ...], list[Row]] = {}
    for row in done:
        measured.setdefault((row.method, row.dataset), []).append(row)
    alike = [(fit, measured.get(tuple(fit.label.split()[:2]), [])) for fit in waiting]
    known = [statistics.fmean(_seconds(row, fit) for row in rows) for fit, rows in alike if rows]
    running = [float(told["seconds_left"]) for told in busy if told.get("seconds_left") is not None]
    left = sum(known) + sum(running)
    return {
        "seconds_left": round(max([left / max(1, len(busy)), *running]), 1) if known or running else None,
        "planned_unmeasured": len(waiting) - len(known),
    }


def _seconds(row: Row, fit: Awaited) -> float:
    """A finished fit's time, its training scaled to another number of epochs."""
    ratio = fit.epochs / row.epochs if fit.epochs and row.epochs else 1.0
    return row.seconds + row.train_seconds * (ratio - 1)
