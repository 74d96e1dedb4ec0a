"""Results on disk: one folder per fit, one JSON record that is written last. `Store` alone touches it."""

from __future__ import annotations

import contextlib
import csv
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from benchmark.errors import InputError
from benchmark.files.arrays import check_claim, read_npy
from benchmark.files.write import write_file, write_files
from benchmark.spec import FitSpec, explain
from benchmark.store.record import RECORD_SCHEMA, SAMPLES, Artifacts, Damaged, Record

#: `_UPGRADES[n]` turns a raw record of layout n into layout n + 1.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: A record is a few kilobytes; anything larger is not one.
MAX_RECORD_BYTES = 4 * 2**20
_USUAL_BYTES = 64 * 2**10
MAX_CURVE_BYTES = 256 * 2**20
MAX_CODES_BYTES = 2 * 2**30

#: The training state inside a fit's folder, and the failures after which it is kept: a retry continues there.
CHECKPOINT = "checkpoint.pt"
RESUMED = ("timeout", "lost")

#: Fit folders below a results folder; other folders (`sweeps`, MLflow's artefacts) hold no records.
_FIT_FOLDERS = "*/*/*b-*-s*-????????????????"


class Store:
    """A results folder: `<dataset>/<method>/<bits>b-<share>-s<seed>-<fit_id>/record.json` and its siblings."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, spec: FitSpec) -> Path:
        """Where a fit's files live."""
        return self.root / self.name(spec)

    def name(self, spec: FitSpec) -> str:
        """The folder of a fit below the results folder, with `/` between its parts."""
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
        """The finished or failed record of a fit, or None. Raises InputError for an unreadable one."""
        path = self.folder(spec) / "record.json"
        return read_record(path) if path.is_file() else None

    def readable(self, spec: FitSpec) -> Record | None:
        """The record of a fit, or None when there is none or it cannot be read."""
        with contextlib.suppress(InputError):
            return self.get(spec)
        return None

    def save(self, record: Record, artifacts: Artifacts) -> Path:
        """Write a fit's files, the record last: a folder with a record is complete. Returns the folder."""
        folder = self.folder(record.spec)
        files = artifacts.files()
        content = {**files, "record.json": record_text(record).encode()}
        write_files({folder / name: data for name, data in content.items()}, folder / "record.json")
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

    def set_aside(self, spec: FitSpec) -> str:
        """Rename a damaged record, so that the fit can be made again. Returns its new name."""
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
        """The ids, by their folders' names, of the records that there are."""
        return {path.parent.name[-16:] for path in self._paths() if path.parent.name[-16:].startswith(prefix)}

    def by_id(self, fit_id: str) -> Record:
        """The record of one id. Raises InputError when there is none or it cannot be read."""
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

    def unfinished(self) -> list[Path]:
        """Folders of fits that were begun and hold a checkpoint but no record."""
        return sorted(
            path.parent
            for path in self.root.glob(f"{_FIT_FOLDERS}/{CHECKPOINT}")
            if not (path.parent / "record.json").exists()
        )

    def codes(self, spec: FitSpec) -> dict[str, np.ndarray]:
        """The stored codes of a fit. Raises InputError when they are missing or unreadable."""
        return read_codes(self.folder(spec) / "codes.npz")

    def curve(self, spec: FitSpec) -> list[dict[str, float]]:
        """The rows of a fit's training curve (`step` and the logged scalars); empty when there is none."""
        path = self.folder(spec) / "curve.csv"
        try:
            if path.stat().st_size > MAX_CURVE_BYTES:
                raise ValueError(f"it is larger than {MAX_CURVE_BYTES >> 20} MiB")
            with path.open(newline="") as file:
                return [
                    {key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)
                ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise InputError(f"curve of {spec.label} ({spec.fit_id}) cannot be read: {error}") from error

    def ledger(self, spec: FitSpec) -> dict[str, str]:
        """Which trackers have this fit's record: digest of the tracking URI -> stamp of the record."""
        try:
            raw = json.loads(_small(self.folder(spec) / "tracked.json"))
            return {str(key): str(value) for key, value in raw.items()}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}

    def note_sent(self, spec: FitSpec, tracker: str, stamp: str) -> None:
        """Note that a tracker has the record."""
        content = json.dumps({**self.ledger(spec), tracker: stamp}, indent=1) + "\n"
        write_file(self.folder(spec) / "tracked.json", content.encode())

    def write_text(self, relative: str, text: str) -> Path:
        """Write a small file of the sweep beside the records, atomically."""
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())
        return path

    def restart(self, spec: FitSpec) -> None:
        """Forget a fit's training state, so that it runs from the start. An old record stays until the new
        one replaces it.
        """
        (self.folder(spec) / CHECKPOINT).unlink(missing_ok=True)

    def stamp(self, spec: FitSpec) -> int | None:
        """Changes whenever a fit's record is written; None when there is none."""
        try:
            return (self.folder(spec) / "record.json").stat().st_mtime_ns
        except OSError:
            return None

    def _paths(self) -> list[Path]:
        return sorted(self.root.glob(f"{_FIT_FOLDERS}/record.json"))


def record_text(record: Record) -> str:
    """A record as JSON, one field a line: half the bytes of an indented one, and changes still show by field."""
    fields = json.loads(record.model_dump_json())
    lines = (
        f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in fields.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path | str) -> Record:
    """Read and validate one record, upgrading older layouts. Raises InputError naming the file."""
    try:
        text = _small(path)
        record = _parse_current(text) or _parse_any(text, path)
    except ValidationError as error:
        raise Damaged(f"record {str(path)!r} is invalid: {explain(error)}") from None
    except OSError as error:
        raise InputError(f"record {str(path)!r} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise Damaged(f"record {str(path)!r} cannot be read: {error}") from None
    if record.fit_id != record.spec.fit_id:
        raise Damaged(f"record {str(path)!r} names fit {record.fit_id} but describes {record.spec.fit_id}")
    return record


def _parse_current(text: str) -> Record | None:
    """A record of the current layout in one step; None for anything else, which `_parse_any` judges."""
    try:
        record = Record.model_validate_json(text)
    except ValidationError:
        return None
    return record if record.record_schema == RECORD_SCHEMA else None


def _parse_any(text: str, path: Path | str) -> Record:
    raw = json.loads(text)
    if not isinstance(raw, dict) or not isinstance(raw.get("record_schema"), int):
        raise Damaged(f"{str(path)!r} is no record of this benchmark")
    if raw["record_schema"] > RECORD_SCHEMA:
        newest = f"({raw['record_schema']}, here up to {RECORD_SCHEMA})"
        raise InputError(f"record {str(path)!r} is of a newer layout {newest}")
    for number in range(raw["record_schema"], RECORD_SCHEMA):
        raw = _UPGRADES[number](raw)
    return Record.model_validate(raw)


def read_codes(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `codes.npz`. Raises InputError for a missing, broken, oversized or pickled one."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_claim(sum(member.file_size for member in members), f"codes {str(path)!r}", MAX_CODES_BYTES)
            found = {}
            for member in members:
                with archive.open(member) as stream:
                    what = f"codes {str(path)!r}: {member.filename!r}"
                    array = read_npy(stream, member.file_size, what, MAX_CODES_BYTES)
                found[member.filename.removesuffix(".npy")] = array
            return found
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"codes {str(path)!r} cannot be read: {error}") from None


def _small(path: Path | str) -> str:
    """The text of a file no larger than a record may be."""
    content = b""
    with open(path, "rb", buffering=0) as file:
        # Room for a usual record: a buffer for the largest one would cost more than reading and checking it.
        while block := file.read(_USUAL_BYTES):
            content += block
            if len(content) > MAX_RECORD_BYTES:
                raise Damaged(f"{str(path)!r} is larger than {MAX_RECORD_BYTES >> 20} MiB")
    return content.decode()


def find(store: Store, prefix: str) -> Record:
    """The record whose id begins with `prefix`.

    Raises InputError when none does, several do, or its file cannot be read.
    """
    if not re.fullmatch(r"[0-9a-f]{1,16}", prefix):
        raise InputError(f"{prefix!r} is no fit id: up to 16 hex digits, as `status` and `run` name folders")
    ids = sorted(store.ids(prefix))
    if not ids:
        raise InputError(f"no record in {str(store.root)!r} has an id that begins with {prefix!r}")
    if len(ids) > 1:
        shown = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        raise InputError(f"{prefix!r} begins {len(ids)} ids: {shown}")
    return store.by_id(ids[0])
