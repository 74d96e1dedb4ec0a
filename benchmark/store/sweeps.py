"""The sweeps that a results folder keeps: each plan's fits and the views wanted of them."""

from __future__ import annotations

import json
from typing import NamedTuple

from benchmark.store.store import Store

#: A list of planned fits holds about a hundred bytes for each.
MAX_LIST_BYTES = 64 * 2**20


class Awaited(NamedTuple):
    """A fit that a saved sweep plans. epochs: 0 where its method has none, or the list is of an earlier version."""

    label: str
    epochs: int = 0


def planned_fits(store: Store, finished: set[str]) -> dict[str, Awaited]:
    """fit_id -> what the saved sweeps plan and no record answers."""
    found: dict[str, Awaited] = {}
    for path in sorted(store.root.glob("sweeps/*.json")):
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                continue
            rows = json.loads(path.read_text())
            found |= {
                str(row["fit_id"]): Awaited(str(row["label"]), int(row.get("epochs") or 0)) for row in rows
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return {fit_id: fit for fit_id, fit in found.items() if fit_id not in finished}


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
