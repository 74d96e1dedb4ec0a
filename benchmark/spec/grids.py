"""Fits sorted into few grids that hold exactly them, and the suite file of such grids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import tomli_w

from benchmark.spec.command import assignments
from benchmark.spec.sweep import Sweep

#: What may be joined, in this order: two grids that differ in one of them alone are one grid.
_AXES = (
    "seeds",
    "methods",
    "bits",
    "class_splits",
    "label_fractions",
    "labels_per_class",
    "label_noise",
    "datasets",
)
#: Said in a file even where they are the usual ones.
_ALWAYS = ("methods", "datasets", "bits", "seeds")


def join_grids(sweeps: Iterable[Sweep]) -> list[Sweep]:
    """Fewer grids with the same points and no others. A method stands in one grid with one set of parameters."""
    found = list(sweeps)
    for axis in _AXES:
        free = {axis, "params"} if axis == "methods" else {axis}
        joined: dict[str, list[Sweep]] = {}
        for one in found:
            alike = joined.setdefault(one.model_dump_json(exclude=free), [])
            fit = (axis != "methods" or not {*one.methods} & {*other.methods} for other in alike)
            place = next((place for place, may in enumerate(fit) if may), None)
            if place is None:
                alike.append(one)
                continue
            values: dict[str, Any] = {
                axis: tuple(sorted({*getattr(alike[place], axis), *getattr(one, axis)}))
            }
            values["params"] = {**alike[place].params, **one.params}
            alike[place] = alike[place].model_copy(update=values)
        found = [one for alike in joined.values() for one in alike]
    return found


def suite_text(sweeps: Iterable[Sweep], head: Mapping[str, Any], comment: str) -> str:
    """A suite file: a comment of one line, keys that hold for all grids, and each grid as a part."""
    usual = Sweep().model_dump(mode="json")
    lines = [f"# {comment}", tomli_w.dumps(dict(head)).rstrip()]
    for one in sweeps:
        said = one.model_dump(mode="json", exclude={"params"}) | {
            "preprocessing": one.preprocessing.as_text()
        }
        part = {
            key: value for key, value in said.items() if key in _ALWAYS or (value and value != usual[key])
        }
        part |= {} if one.label_fractions else {"label_fractions": []}
        part |= {"set": given} if (given := assignments(one.params)) else {}
        # Texts, numbers, truths and lists of them are written alike in TOML and in JSON.
        lines += [
            "",
            "[[parts]]",
            *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in part.items()),
        ]
    return "\n".join([*lines, ""])
