"""The files of one fit beside its record: codes, curve, weights, grids of images, and which trackers have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.files.write import write_file
from benchmark.spec import FitSpec
from benchmark.store.folder import ResultsFolder
from benchmark.store.formats import read_codes, read_curve, read_weights, small_text
from benchmark.store.record import SAMPLES
from benchmark.store.thin import together

if TYPE_CHECKING:
    from torch import Tensor

#: The training state inside a fit's folder.
CHECKPOINT = "checkpoint.pt"


class FitFiles(ResultsFolder):
    """A results folder whose fits' files can be read."""

    def codes(self, spec: FitSpec) -> dict[str, np.ndarray]:
        """The stored codes of a fit.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        dict
            `query_codes`, `database_codes` uint8 (items, ceil(bits / 8)), their `_ids` and `_labels`, and
            `bits`.

        Raises
        ------
        InputError
            They are missing or unreadable.
        """
        path = self.folder(spec) / "codes.npz"
        return together(read_codes(path), self.root, f"codes {str(path)!r}")

    def curve(self, spec: FitSpec) -> list[dict[str, float]]:
        """The rows of a fit's training curve.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        list of dict
            `step` and the logged scalars; empty when there is none.

        Raises
        ------
        InputError
            It cannot be read.
        """
        return read_curve(self.folder(spec) / "curve.csv", f"{spec.label} ({spec.fit_id})")

    def weights(self, spec: FitSpec) -> dict[str, Tensor]:
        """The stored tensors of a fit.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        dict of Tensor
            On the CPU, by name.

        Raises
        ------
        InputError
            They are missing or damaged.
        """
        return read_weights(self.folder(spec) / "weights.safetensors", f"{spec.label} ({spec.fit_id})")

    def samples(self, spec: FitSpec) -> list[Path]:
        """The grids of generated images that a fit left.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        list of Path
            Oldest first.
        """
        return sorted(path for path in self.folder(spec).glob(f"{SAMPLES}/*") if path.is_file())

    def size(self, spec: FitSpec) -> int:
        """How much a fit takes on disk.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        int
            Bytes.
        """
        return sum(path.stat().st_size for path in self.folder(spec).rglob("*") if path.is_file())

    def content(self, spec: FitSpec, name: str) -> bytes | None:
        """One of a fit's files.

        Parameters
        ----------
        spec : FitSpec
            The fit.
        name : str
            Its name below the fit's folder.

        Returns
        -------
        bytes or None
            None when it is not there.

        Raises
        ------
        OSError
            It cannot be read.
        """
        path = self.folder(spec) / name
        return path.read_bytes() if path.is_file() else None

    def ledger(self, spec: FitSpec) -> dict[str, str]:
        """Which trackers have this fit's record.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        dict
            Digest of the tracking URI to the stamp of the record that was sent.
        """
        try:
            raw = json.loads(small_text(self.folder(spec) / "tracked.json"))
            return {str(key): str(value) for key, value in raw.items()}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}

    def note_sent(self, spec: FitSpec, tracker: str, stamp: str) -> None:
        """Note that a tracker has the record.

        Parameters
        ----------
        spec : FitSpec
            The fit.
        tracker : str
            Digest of its URI.
        stamp : str
            Of the record that was sent.

        Raises
        ------
        OSError
            It cannot be written.
        """
        content = json.dumps({**self.ledger(spec), tracker: stamp}, indent=1) + "\n"
        write_file(self.folder(spec) / "tracked.json", content.encode())

    def restart(self, spec: FitSpec) -> None:
        """Forget a fit's training state, so that it runs from the start; an old record stays until a new one
        replaces it.

        Parameters
        ----------
        spec : FitSpec
            The fit.
        """
        (self.folder(spec) / CHECKPOINT).unlink(missing_ok=True)

    def stamp(self, spec: FitSpec) -> int | None:
        """The time of a fit's record file, which changes whenever the record is written.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        int or None
            Nanoseconds; None when there is no record.
        """
        try:
            return (self.folder(spec) / "record.json").stat().st_mtime_ns
        except OSError:
            return None
