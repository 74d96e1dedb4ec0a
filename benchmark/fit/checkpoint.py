"""A training state on disk: written in one piece, read without running what it holds."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from pathlib import Path
from typing import Any

import torch

from benchmark.store.fit_files import CHECKPOINT
from benchmark.store.record import CurvePoint

log = logging.getLogger(__name__)


def write_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Keep a training state; where that cannot be, training goes on with a warning."""
    scratch = folder / f".{CHECKPOINT}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(content, scratch)
        scratch.replace(folder / CHECKPOINT)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        log.warning("the training state cannot be saved (%s); training goes on", str(error)[:200])
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def read_checkpoint(folder: Path, fit_id: str, device: torch.device) -> dict[str, Any] | None:
    """What was written for this very fit, on its device; a damaged one costs its time, not the fit."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location=functools.partial(home, device), weights_only=True)
        if content["fit_id"] != fit_id:
            return None
        return {
            "scalars": [(int(step), dict(values)) for step, values in content["scalars"]],
            "curve": [CurvePoint(**point) for point in content["curve"]],
            "best": tuple(content["best"]) if content["best"] else None,
            "training": dict(content["training"]),
            "seconds": float(content["seconds"]),
            "compiled": str(content.get("compiled", "")),
        }
    except Exception as error:  # noqa: BLE001 - any damage: train again from the start
        log.warning("checkpoint cannot be used (%s); starting again", error)
        return None


def home(device: torch.device, storage: Any, place: str) -> Any:
    """A saved tensor's memory, back on the CPU (optimisers count steps there), or on the fit's device."""
    place = place if place == "cpu" else str(device)
    return torch.serialization.default_restore_location(storage, place)  # type: ignore[no-untyped-call]
