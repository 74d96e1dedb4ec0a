"""The command that runs a sweep, and the sweep of one fit: the one translation between a fit's fields and flags."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from benchmark.spec.fit import FitSpec
from benchmark.spec.sweep import AXES, Sweep
from benchmark.spec.values import parse
from benchmark.spec.weights import is_published

#: What a sweep says of all its fits alike, under the same name in both.
SHARED = tuple(name for name in Sweep.model_fields if name in FitSpec.model_fields and name not in AXES)

#: Stands for a weights file, which a fit knows by its digest only.
WEIGHTS_FILE = "WEIGHTS_FILE"


def sweep_of(spec: FitSpec, weights_file: str = WEIGHTS_FILE) -> Sweep:
    """The sweep whose only fit this is.

    weights_file: where its weights lie, when they are a file. Raises InputError for a fit that no sweep gives.
    """
    values = {field: (getattr(spec, name),) for name, field in AXES.items()} | {
        "label_fractions": () if spec.labels_per_class else (spec.label_fraction,),
        "labels_per_class": (spec.labels_per_class,) if spec.labels_per_class else (),
        "label_noise": (spec.label_noise,),
        "views": ("clean",) if spec.class_split is None else ("unseen-classes",),
        "class_splits": Sweep().class_splits if spec.class_split is None else (spec.class_split,),
        "weights": spec.weights if is_published(spec.weights) else weights_file,
        "batch_size": spec.batch_size or Sweep().batch_size,
        "params": {spec.method: spec.params},
    }
    values |= {name: getattr(spec, name) for name in SHARED if name not in values}
    return parse(Sweep, values, f"fit {spec.fit_id}")


def command(sweep: Sweep, extra: Sequence[str] = (), always: Sequence[str] = ()) -> str:
    """The command line of a sweep. Flags at their defaults are left out but for those in `always` (field names)."""
    usual, words = _flags(Sweep()), ["python", "-m", "benchmark", "run"]
    for name, text in _flags(sweep).items():
        if text and (text != usual[name] or name in always):
            words += [f"--{name.replace('_', '-')}", *([] if text == "yes" else [text])]
    for assignment in assignments(sweep.params):
        words += ["--set", assignment]
    return shlex.join([*words, *extra])


def command_of(spec: FitSpec, weights_file: str = WEIGHTS_FILE) -> str:
    """The command line that makes exactly this fit; the flags that name it are stated at their defaults too."""
    always = (*AXES.values(), "protocol", "backbone", "weights", "selection", "precision", "label_fractions")
    budget = ("batch_size",) if spec.batch_size else ()
    return command(sweep_of(spec, weights_file), always=(*always, *budget))


def assignments(params: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """`METHOD.PARAM=VALUE` of every parameter, as `--set` and a suite's `set` take them."""
    return [
        f"{method}.{name}={_toml(value)}"
        for method, values in params.items()
        for name, value in values.items()
    ]


def _flags(sweep: Sweep) -> dict[str, str]:
    """Field name -> the flag's text, in the order in which people give them; empty for a field without one."""
    last = ("views", "class_splits")
    others = (name for name in Sweep.model_fields if name not in (*last, "params"))
    names = dict.fromkeys(("methods", "datasets", "bits", "seeds", *others, *last))
    return {name: _text(getattr(sweep, name)) for name in names}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if hasattr(value, "as_text"):
        return str(value.as_text())
    return "" if value is None else str(value)


def _toml(value: Any) -> str:
    text = "none" if value is None else tomli_w.dumps({"v": value}).strip().removeprefix("v = ")
    return " ".join(text.split())
