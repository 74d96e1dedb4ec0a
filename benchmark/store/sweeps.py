"""The sweeps that a results folder keeps: each plan's fits and the views wanted of them."""

from __future__ import annotations

import json

from benchmark.store.store import Store

#: A list of planned fits holds about a hundred bytes for each.
MAX_LIST_BYTES = 64 * 2**20


def planned_fits(store: Store, finished: set[str]) -> dict[str, str]:
    """fit_id -> label of what the saved sweeps plan and no record answers."""
    found: dict[str, str] = {}
    for path in sorted(store.root.glob("sweeps/*.json")):
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                continue
            rows = json.loads(path.read_text())
            found |= {str(row["fit_id"]): str(row["label"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return {fit_id: label for fit_id, label in found.items() if fit_id not in finished}


def wanted_views(store: Store) -> dict[str, frozenset[str]]:
    """fit_id -> `view#version` of every view that the saved sweeps want of it; fits without views are not in it."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted(store.root.glob("sweeps/*.views")):
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
