"""Results on disk: one folder per fit, one JSON record that is written last. `Store` alone touches it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from benchmark.errors import InputError
from benchmark.files.write import write_file, write_files
from benchmark.spec import FitSpec
from benchmark.store.fit_files import CHECKPOINT, FitFiles
from benchmark.store.formats import read_record, record_text
from benchmark.store.record import SAMPLES, Artifacts, Record

#: The failures after which a fit's training state is kept: a retry continues there.
RESUMED = ("timeout", "lost")


class Store(FitFiles):
    """A results folder: `<dataset>/<method>/<bits>b-<share>-s<seed>-<fit_id>/record.json` and its siblings."""

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
        """The ids of all records, read from the names of their folders.

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

    def _paths(self) -> list[Path]:
        found = (self.root / name / "record.json" for name in self.folders())
        return sorted(path for path in found if path.is_file())


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
