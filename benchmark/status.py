"""Counts of a results folder: finished, failed, stale, unfinished, still planned; and the time left."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.index import Index, Row
from benchmark.records import Record, Store

#: A list of planned fits holds about a hundred bytes for each.
MAX_LIST_BYTES = 64 * 2**20


def collect(root: Path) -> dict[str, Any]:
    """Everything `status` shows, JSON-ready."""
    index = Index(Store(root))
    everything = index.rows()
    problems = [row.problem for row in everything if row.problem]
    failed = [row for row in everything if row.state == "failed"]
    done = [row for row in everything if row.state == "done"]
    stale = [row for row in done if not registry.is_current(row.method, row.source_digest)]
    planned = _planned(root, {row.fit_id for row in everything})
    current = {row.fit_id: row for row in done} if (wanted := _wanted_views(root)) else {}
    lacking = [
        current[fit_id] for fit_id in wanted if fit_id in current and wanted[fit_id] - current[fit_id].has
    ]
    return {
        "results": str(root),
        "counts": {
            "done": len(done) - len(stale),
            "stale": len(stale),
            "failed": len(failed),
            "planned": len(planned),
            "with views missing": len(lacking),
            "unreadable": len(problems),
        },
        "failures": [_row(row, row.reason) for row in failed],
        "stale": [_row(row, "its method's source changed since") for row in stale],
        "views_missing": [
            _row(row, f"{len(wanted[row.fit_id] - row.has)} views missing, from stored weights")
            for row in lacking
        ],
        "unfinished": [
            {"fit_id": name[-16:], "label": name, "reason": "has a training state"}
            for name in index.unfinished()
        ],
        "unreadable": problems,
        **_time_left(planned, done),
    }


def stale_fits(records: Iterable[Record]) -> set[str]:
    """Ids of the fits whose method's source has changed since. A method that is not installed here cannot be
    compared, so its fits are not called stale.
    """
    return {r.fit_id for r in records if not registry.is_current(r.spec.method, r.source_digest)}


def _row(row: Row, reason: str) -> dict[str, str]:
    return {"fit_id": row.fit_id, "label": row.label, "reason": reason}


def _planned(root: Path, finished: set[str]) -> dict[str, str]:
    """fit_id -> label of what the saved sweeps plan and no record answers."""
    found: dict[str, str] = {}
    for path in sorted(root.glob("sweeps/*.json")):
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                continue
            rows = json.loads(path.read_text())
            found |= {str(row["fit_id"]): str(row["label"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return {fit_id: label for fit_id, label in found.items() if fit_id not in finished}


def _wanted_views(root: Path) -> dict[str, frozenset[str]]:
    """fit_id -> `view#version` of every view that the saved sweeps want of it; fits without views are not in it."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted(root.glob("sweeps/*.views")):
        try:
            fits = path.with_suffix(".json")
            if max(path.stat().st_size, fits.stat().st_size) > MAX_LIST_BYTES:
                continue
            sets = {
                str(key): frozenset(map(str, names)) for key, names in json.loads(path.read_text()).items()
            }
            for row in json.loads(fits.read_text()) if any(sets.values()) else ():
                if "views" in row:
                    fit_id = str(row["fit_id"])
                    found[fit_id] = found.get(fit_id, frozenset()) | sets[row["views"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


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
