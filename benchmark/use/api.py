"""The benchmark from Python: `benchmark.run`, `benchmark.load_fit` and `benchmark.results`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from benchmark.data.load import skipping_bad_images
from benchmark.errors import InputError
from benchmark.files import places
from benchmark.spec import suites
from benchmark.spec.command import command
from benchmark.store.record import Record
from benchmark.store.store import Store, existing
from benchmark.sweep.callbacks import Callback, checked
from benchmark.sweep.display import Lines, make_display
from benchmark.sweep.launch import ensure_data, launch, retries_of
from benchmark.use.model import Encoder, open_encoder, pack


@dataclass(frozen=True)
class Fit:
    """A finished fit, ready to encode."""

    encoder: Encoder
    results: Path

    @property
    def record(self) -> Record:
        """Its record: specification, scores, protocol, environment."""
        return self.encoder.record

    @property
    def codes(self) -> dict[str, np.ndarray]:
        """The stored arrays of `codes.npz`. Raises InputError when they are missing or unreadable."""
        return Store(self.results).codes(self.record.spec)

    def outputs(self, images: Any) -> np.ndarray:
        """float32 (n, bits) of uint8 images (n, channels, height, width) of the fit's size, or vectors (n, d)."""
        items = np.array(images)
        wanted = "f" if self.encoder.info.inputs == "vectors" else "u"
        if items.dtype.kind != wanted or (wanted == "u" and items.dtype != np.uint8):
            raise InputError(
                f"encode takes {'floats' if wanted == 'f' else 'uint8 images'}, not {items.dtype} {items.shape}"
            )
        return self.encoder.outputs(items)

    def encode(self, images: Any) -> np.ndarray:
        """Packed codes uint8 (n, ceil(bits / 8)) of the same."""
        return pack(self.outputs(images))


def load_fit(
    fit_id: str,
    results: str | Path = "results/runs",
    *,
    data_root: str | Path | None = None,
    device: str = "cpu",
    weights_file: str = "",
) -> Fit:
    """The finished fit whose id begins with `fit_id`. Raises InputError, in one line, when it cannot be loaded."""
    root = places.data_root(data_root)
    encoder = open_encoder(Path(results), fit_id, data_root=root, device=device, weights_file=weights_file)
    return Fit(encoder, Path(results))


def results(folder: str | Path = "results/runs") -> pd.DataFrame:
    """A row for each readable record: fit id, state, specification, and scores of view `clean` by metric (`map`).

    Raises InputError for a folder that is not there.
    """
    return _frame(existing(folder).records())


def run(
    suite: str | None = None,
    *,
    retry: str = "",
    skip_bad_images: bool = False,
    progress: bool = True,
    callbacks: Iterable[Callback] | None = None,
    **keys: Any,
) -> pd.DataFrame:
    """Train and score a sweep as the command `run` does, and give its records as `results` does.

    Finished fits are not repeated. keys: as in a suite file, flags with underscores (`methods`, `datasets`,
    `bits`, `epochs`, `results`, `tracking_uri`, `set`, ...), over those of `suite`, a name or a file; None is
    as left out. retry: `failed`, `stale`, `all`. progress: bars or lines on stderr. callbacks: told of steps,
    evaluations and ends, see `benchmark.sweep.callbacks.Callback`. A fit that failed is a row whose state says
    so. Raises InputError, in one line, for what the command refuses; KeyboardInterrupt where a signal stopped
    the run, which the same call then continues.
    """
    heard = checked(callbacks)
    again, configs = retries_of([retry]), suites.resolve_all(suite, keys)
    records: list[Record] = []
    display = (lambda: make_display(Console(stderr=True, highlight=False))) if progress else _Silent
    note = _say if progress else lambda text: None
    with skipping_bad_images(skip_bad_images):
        ensure_data(configs)
        for config in configs:
            where = [
                "--results",
                config.results,
                *(["--data-root", config.data_root] * bool(config.data_root)),
            ]
            done = launch(config, again, command(config.sweep, where), display, note, heard)
            if done.summary.interrupted:
                raise KeyboardInterrupt(done.summary.interrupted)
            records += done.summary.records
    return _frame({record.fit_id: record for record in records}.values())


class _Silent(Lines):
    def note(self, text: str) -> None:
        """Nothing."""


def _say(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _frame(records: Iterable[Record]) -> pd.DataFrame:
    rows = []
    for record in records:
        spec = record.spec.model_dump(mode="json", exclude={"params", "preprocessing"})
        scores = {
            one.metric if one.metric == "map" or one.k is None else f"{one.metric}@{one.k}": one.value
            for one in record.scores
            if one.view == "clean"
        }
        rows.append({"fit_id": record.fit_id, "state": record.state, **spec, **scores})
    return pd.DataFrame(rows)
