"""Results on disk: one folder per fit, one JSON record that is written last. `Store` alone touches it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import InputError
from benchmark.files.write import write_file, write_files
from benchmark.spec import FitSpec
from benchmark.store.formats import (
    read_codes,
    read_curve,
    read_record,
    read_weights,
    record_text,
    small_text,
)
from benchmark.store.record import SAMPLES, Artifacts, Record

if TYPE_CHECKING:
    from torch import Tensor

#: The training state inside a fit's folder, and the failures after which it is kept: a retry continues there.
CHECKPOINT = "checkpoint.pt"
RESUMED = ("timeout", "lost")

#: Fit folders below a results folder; other folders (`sweeps`, MLflow's artefacts) hold no records.
_FIT_FOLDER = re.compile(r".*b-.*-s.*-.{16}")
#: Files of the whole folder.
_BESIDE = ("sweeps/*.toml", "sweeps/*.json", "sweeps/*.views", "architecture/*.json", "search-cost/*.json")


class Store:
    """A results folder: `<dataset>/<method>/<bits>b-<share>-s<seed>-<fit_id>/record.json` and its siblings."""

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

    def get(self, spec: FitSpec) -> Record | None:
        """The finished or failed record of a fit.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        Record or None
            None when there is none.

        Raises
        ------
        InputError
            The record cannot be read.
        """
        path = self.folder(spec) / "record.json"
        return read_record(path) if path.is_file() else None

    def readable(self, spec: FitSpec) -> Record | None:
        """The record of a fit where it can be read.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        Record or None
            None when there is none, or it is damaged.
        """
        with contextlib.suppress(InputError):
            return self.get(spec)
        return None

    def save(self, record: Record, artifacts: Artifacts) -> Path:
        """Write a fit's files, the record last: a folder with a record is complete.

        Parameters
        ----------
        record : Record
            What is known of the fit.
        artifacts : Artifacts
            What lies beside it.

        Returns
        -------
        Path
            The fit's folder.

        Raises
        ------
        OSError
            It cannot be written.
        """
        folder = self.folder(record.spec)
        files = artifacts.files()
        self.put(record, files)
        leftovers = [*folder.glob(".*.tmp")]  # of this fit's killed runs
        if record.failure is None or record.failure.kind not in RESUMED:
            leftovers.append(folder / CHECKPOINT)
        if record.state == "done":  # a failed fit keeps the grids that it came to
            leftovers += [
                path for path in folder.glob(f"{SAMPLES}/*") if f"{SAMPLES}/{path.name}" not in files
            ]
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return folder

    def put(self, record: Record, files: Mapping[str, bytes | None]) -> None:
        """Write a fit's files, then its record; no old record outlives them.

        Parameters
        ----------
        record : Record
            The record.
        files : mapping
            Name to content; None removes a file.

        Raises
        ------
        OSError
            It cannot be written.
        """
        folder = self.folder(record.spec)
        content = {**files, "record.json": record_text(record).encode()}
        write_files({folder / name: data for name, data in content.items()}, folder / "record.json")

    def amend(self, record: Record, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Replace some of a fit's files and then its record, each by rename: the old record stays until then.

        Parameters
        ----------
        record : Record
            The new record.
        files : mapping
            Name to content.

        Raises
        ------
        OSError
            It cannot be written.
        """
        for name, content in {**files, "record.json": record_text(record).encode()}.items():
            write_file(self.folder(record.spec) / name, content)

    def set_aside(self, spec: FitSpec) -> str:
        """Rename a damaged record, so that the fit can be made again.

        Parameters
        ----------
        spec : FitSpec
            The fit.

        Returns
        -------
        str
            Its new name.

        Raises
        ------
        OSError
            It cannot be written.
        """
        path = self.folder(spec) / "record.json"
        number = 1
        while (new := path.with_name(f"record.damaged-{number}.json")).exists():
            number += 1
        path.rename(new)
        return new.name

    def records(self) -> Iterator[Record]:
        """Every readable record, in path order; see `unreadable` for the rest."""
        for path in self._paths():
            with contextlib.suppress(InputError):
                yield read_record(path)

    def ids(self, prefix: str = "") -> set[str]:
        """The ids, by their folders' names, of the records that there are.

        Parameters
        ----------
        prefix : str
            What an id must begin with.

        Returns
        -------
        set of str
            16 hexadecimal digits each.
        """
        return {path.parent.name[-16:] for path in self._paths() if path.parent.name[-16:].startswith(prefix)}

    def by_id(self, fit_id: str) -> Record:
        """The record of one id.

        Parameters
        ----------
        fit_id : str
            16 hexadecimal digits.

        Returns
        -------
        Record
            It is read anew.

        Raises
        ------
        InputError
            There is none, or it cannot be read.
        """
        for path in self._paths():
            if path.parent.name.endswith(f"-{fit_id}"):
                record = read_record(path)
                if record.fit_id == fit_id:
                    return record
        raise InputError(f"no record in {str(self.root)!r} has the id {fit_id!r}")

    def unreadable(self) -> Iterator[str]:
        """One line for each record file that cannot be read."""
        for path in self._paths():
            try:
                read_record(path)
            except InputError as error:
                yield str(error)

    def folders(self) -> Iterator[str]:
        """`dataset/method/fit` of every fit's folder, in no order; other folders hold no records."""
        for dataset in _subfolders(self.root):
            for method in _subfolders(self.root / dataset):
                for fit in _subfolders(self.root / dataset / method):
                    if _FIT_FOLDER.fullmatch(fit):
                        yield f"{dataset}/{method}/{fit}"

    def beside(self) -> list[Path]:
        """The files beside the fits: saved sweeps, and what `describe` wrote."""
        return [path for pattern in _BESIDE for path in sorted(self.root.glob(pattern))]

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
        return read_codes(self.folder(spec) / "codes.npz")

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
        """What changes whenever a fit's record is written.

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

    def _paths(self) -> list[Path]:
        found = (self.root / name / "record.json" for name in self.folders())
        return sorted(path for path in found if path.is_file())


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def existing(results: Path | str) -> Store:
    """The store of a results folder.

    Parameters
    ----------
    results : Path or str
        The folder.

    Returns
    -------
    Store
        Nothing of it is read yet.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if not Path(results).is_dir():
        raise InputError(f"results folder {str(results)!r} does not exist")
    return Store(Path(results))


def find(store: Store, prefix: str) -> Record:
    """The record whose id begins with a prefix.

    Parameters
    ----------
    store : Store
        Where to look.
    prefix : str
        1 to 16 hexadecimal digits.

    Returns
    -------
    Record
        The only one that fits.

    Raises
    ------
    InputError
        None or several begin so, or its file cannot be read.
    """
    if not re.fullmatch(r"[0-9a-f]{1,16}", prefix):
        raise InputError(f"{prefix!r} is no fit id: up to 16 hex digits, as `status` and `run` name folders")
    ids = sorted(store.ids(prefix))
    begun = sorted(name for name in store.folders() if name[-16:].startswith(prefix))
    if not ids and begun:
        raise InputError(
            f"the fit in {begun[0]} has no record yet: it runs, or was stopped; `status` says which"
        )
    if not ids:
        raise InputError(f"no record in {str(store.root)!r} has an id that begins with {prefix!r}")
    if len(ids) > 1:
        shown = ", ".join(begun[:5]) + (", ..." if len(begun) > 5 else "")
        raise InputError(f"{prefix!r} begins {len(ids)} ids: {shown}; give more letters")
    return store.by_id(ids[0])
