"""A results folder: where everything in it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.spec import FitSpec

#: Fit folders below a results folder; other folders (`sweeps`, MLflow's artefacts) hold no records.
_FIT_FOLDER = re.compile(r".*b-.*-s.*-.{16}")
#: Files of the whole folder.
_BESIDE = (
    "sweeps/*.toml",
    "sweeps/*.json",
    "sweeps/*.views",
    "architecture/*.json",
    "search-cost/*.json",
    "tuning/*.json",
)


class ResultsFolder:
    """Where the files of each fit lie, and those of the whole folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, spec: FitSpec) -> Path:
        """Where a fit's files live.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        Path
            Below the results folder; it need not exist.
        """
        return self.root / self.name(spec)

    def name(self, spec: FitSpec) -> str:
        """The folder of a fit below the results folder, with `/` between its parts.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        str
            `<dataset>/<method>/<bits>b-<share>-s<seed>-<fit_id>`.
        """
        classes = "" if spec.class_split is None else f"-c{spec.class_split}"
        fit = f"{spec.bits}b-{spec.label_rule.slug}{classes}-s{spec.seed}-{spec.fit_id}"
        return f"{spec.dataset}/{spec.method}/{fit}"

    def open(self) -> None:
        """Create the folder and prove that it can be written. Raises InputError when it cannot."""
        probe = self.root / f".write-test-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"results folder {str(self.root)!r} cannot be written: {error.strerror or error}"
            ) from error

    def folders(self) -> Iterator[str]:
        """`dataset/method/fit` of every fit's folder, in no order; other folders hold no records."""
        for dataset in _subfolders(self.root):
            for method in _subfolders(self.root / dataset):
                for fit in _subfolders(self.root / dataset / method):
                    if _FIT_FOLDER.fullmatch(fit):
                        yield f"{dataset}/{method}/{fit}"

    def beside(self, folder: str = "") -> list[Path]:
        """The files beside the fits: saved sweeps, and what `describe`, `search-cost` and `tune` wrote.

        Parameters
        ----------
        folder : str
            `sweeps`, `architecture`, `search-cost` or `tuning`; empty: all of them.

        Returns
        -------
        list of Path
            In the order of their names within a folder.
        """
        wanted = (pattern for pattern in _BESIDE if pattern.startswith(folder))
        return [path for pattern in wanted for path in sorted(self.root.glob(pattern))]

    def write_text(self, relative: str, text: str) -> Path:
        """Write a small file of the whole folder, atomically.

        Parameters
        ----------
        relative : str
            Its path below the results folder.
        text : str
            Its content.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            It cannot be written.
        """
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())
        return path


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
