"""The command that runs a fit."""

from __future__ import annotations

import shlex
from typing import Any

import tomli_w

from benchmark.spec.fit import FitSpec


def command(spec: FitSpec, weights_file: str = "") -> str:
    """The command line that makes exactly this fit.

    A weights file is known by its digest only: the command names `weights_file`, or a placeholder.
    """
    weights = spec.weights if spec.weights in ("none", "imagenet") else weights_file or "WEIGHTS_FILE"
    flags: dict[str, Any] = {
        "methods": spec.method,
        "datasets": spec.dataset,
        "bits": spec.bits,
        "label-fractions": None if spec.labels_per_class else repr(spec.label_fraction),
        "labels-per-class": spec.labels_per_class,
        "label-noise": repr(spec.label_noise) if spec.label_noise else None,
        "noise-kind": spec.noise_kind if spec.label_noise else None,
        "hidden-images": None if spec.label_rule.full else spec.hidden_images,
        "views": None if spec.class_split is None else "unseen-classes",
        "class-splits": spec.class_split,
        "seeds": spec.seed,
        "protocol": spec.protocol,
        "backbone": spec.backbone,
        "weights": weights,
        "epochs": spec.epochs,
        "batch-size": spec.batch_size,
        "selection": spec.selection,
        "precision": spec.precision,
    }
    words = ["python", "-m", "benchmark", "run"]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    for name, value in spec.params.items():
        words += ["--set", f"{spec.method}.{name}={_toml(value)}"]
    return shlex.join(words)


def _toml(value: Any) -> str:
    text = "none" if value is None else tomli_w.dumps({"v": value}).strip().removeprefix("v = ")
    return " ".join(text.split())
