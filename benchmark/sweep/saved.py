"""A plan written into its results folder: its sweep, its fits and the views wanted of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tomli_w

from benchmark.errors import InputError
from benchmark.spec import digest
from benchmark.store.store import Store
from benchmark.sweep.plan import Plan, PlannedFit


def save_sweep(plan: Plan, store: Store) -> Path:
    """Write the resolved sweep (a valid suite file) and its list of fits; returns the suite file's path.

    Raises InputError when they cannot be written.
    """
    keys = plan.sweep.model_dump(mode="json", exclude_none=True)
    keys["set"] = {name: _without_none(values) for name, values in keys.pop("params").items()}
    name = digest(keys)
    sets = {
        _views_key(planned): [f"{view}#{view.version}" for view in planned.views] for planned in plan.fits
    }
    jobs = [
        {"fit_id": planned.fit.fit_id, "label": planned.label, "epochs": planned.fit.epochs}
        | ({"views": _views_key(planned)} if planned.views else {})
        for planned in plan.fits
        if planned.fit
    ]
    try:
        store.write_text(f"sweeps/{name}.views", json.dumps(sets))  # thousands of fits share a few sets
        store.write_text(f"sweeps/{name}.json", json.dumps(jobs, indent=1) + "\n")
        return store.write_text(f"sweeps/{name}.toml", tomli_w.dumps(keys))
    except OSError as error:
        raise InputError(
            f"results folder {str(store.root)!r} cannot be written: {error.strerror or error}"
        ) from error


def _views_key(planned: PlannedFit) -> str:
    return digest([str(view) for view in planned.views], 8)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: "none" if value is None else value for key, value in values.items()}
