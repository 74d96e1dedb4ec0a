"""Two callbacks for loggers that many know; each needs its own package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.fit.runtime import Progress
from benchmark.spec import FitSpec
from benchmark.store.record import CurvePoint, Record


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"this callback needs its package: pip install {package}") from None


class TensorBoard:
    """Losses, mAP over the updates and final scores of each fit, below `folder/FIT_ID`. Needs `tensorboard`."""

    def __init__(self, folder: str | Path) -> None:
        """Raises InputError where tensorboard is not installed."""
        self._folder = Path(folder)
        self._writer = _imported("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._open: dict[str, Any] = {}

    def _of(self, fit: FitSpec) -> Any:
        if fit.fit_id not in self._open:
            self._open[fit.fit_id] = self._writer(str(self._folder / fit.fit_id))
        return self._open[fit.fit_id]

    def on_step(self, fit: FitSpec, progress: Progress) -> None:
        """The loss."""
        if progress.loss is not None:
            self._of(fit).add_scalar("train/loss", progress.loss, progress.step)

    def on_evaluation(self, fit: FitSpec, point: CurvePoint) -> None:
        """mAP of a model on the way."""
        self._of(fit).add_scalar("curve/map", point.map, point.step)

    def on_end(self, record: Record) -> None:
        """The final scores; the fit's file is closed."""
        writer = self._of(record.spec)
        for score in record.scores:
            name = score.metric if score.k is None else f"{score.metric}@{score.k}"
            writer.add_scalar(f"{score.view}/{name}", score.value, record.updates)
        writer.close()
        del self._open[record.fit_id]


class WeightsAndBiases:
    """The same as runs of a Weights & Biases project, sent when a fit has ended. Needs `wandb`."""

    def __init__(self, project: str, **options: Any) -> None:
        """options: for `wandb.init`. Raises InputError where wandb is not installed."""
        self._wandb = _imported("wandb", "wandb")
        self._options = {"project": project, **options}
        self._losses: dict[str, list[tuple[int, float]]] = {}

    def on_step(self, fit: FitSpec, progress: Progress) -> None:
        """Kept until the end: several fits may train at once, and W&B has one run at a time."""
        if progress.loss is not None:
            self._losses.setdefault(fit.fit_id, []).append((progress.step, progress.loss))

    def on_end(self, record: Record) -> None:
        """Make the fit's run."""
        spec = record.spec
        run = self._wandb.init(
            name=spec.label, id=record.fit_id, config=spec.told(), reinit=True, **self._options
        )
        rows: dict[int, dict[str, float]] = {}
        for step, loss in self._losses.pop(record.fit_id, []):
            rows.setdefault(step, {})["train/loss"] = loss
        for point in record.curve:
            rows.setdefault(point.step, {})["curve/map"] = point.map
        for step in sorted(rows):
            run.log(rows[step], step=step)
        for score in record.scores:
            name = score.metric if score.k is None else f"{score.metric}@{score.k}"
            run.summary[f"{score.view}/{name}"] = score.value
        run.finish()
