"""Finished fits and their records from Python: `benchmark.load_fit` and `benchmark.results`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import InputError
from benchmark.files import places
from benchmark.store.record import Record
from benchmark.store.store import Store, existing
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
    rows = []
    for record in existing(folder).records():
        spec = record.spec.model_dump(mode="json", exclude={"params", "preprocessing"})
        scores = {
            one.metric if one.metric == "map" or one.k is None else f"{one.metric}@{one.k}": one.value
            for one in record.scores
            if one.view == "clean"
        }
        rows.append({"fit_id": record.fit_id, "state": record.state, **spec, **scores})
    return pd.DataFrame(rows)
