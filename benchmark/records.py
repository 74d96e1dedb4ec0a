"""Results on disk: one folder per fit, one JSON record that is written last. `Store` alone touches it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from benchmark.errors import InputError
from benchmark.spec import FitSpec, Value, explain

#: Number of the record's layout. `_UPGRADES[n]` turns a raw record of layout n into layout n + 1.
RECORD_SCHEMA = 1
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: A record is a few kilobytes; anything larger is not one.
MAX_RECORD_BYTES = 4 * 2**20

#: Fit folders below a results folder; other folders (`sweeps`, MLflow's artefacts) hold no records.
_FIT_FOLDERS = "*/*/*b-*-s*-????????????????"

FailureKind = Literal["error", "not-finite", "out-of-memory", "timeout", "lost"]


class Score(Value):
    """One number: what was measured, under which view and cut-off. `k` None means the whole database."""

    view: str
    metric: str
    k: int | None = None
    value: float


class CurvePoint(Value):
    """The model's mAP during training: on the queries for the record only, never used for selection
    unless `selection` says so. `part` names what was scored.
    """

    step: int
    seconds: float
    map: float
    part: Literal["query", "tuning"]


class ProtocolFacts(Value):
    """The protocol as it was applied: part of every number."""

    text: str
    rules: dict[str, Any]
    rules_text: str
    queries: int
    database: int
    labelled: int
    hidden: int
    tuning: int
    label_rule: str
    selection_text: str


class Timings(Value):
    """Seconds per phase, and images per second while training and encoding."""

    load: float = 0.0
    train: float = 0.0
    encode: float = 0.0
    score: float = 0.0
    total: float = 0.0
    train_images_per_second: float = 0.0
    encode_images_per_second: float = 0.0


class Environment(Value):
    """Where and with what a fit ran."""

    versions: dict[str, str]
    commit: str
    dirty: bool | None
    dirty_digest: str = ""
    platform: str
    cpu: str
    cores: int
    threads: int
    device: str
    precision: str
    memory_gib: float


class Failure(Value):
    """Why a fit has no result."""

    kind: FailureKind
    message: str
    traceback: str = ""


class Record(Value):
    """One fit: what was asked for, what came out, and everything needed to judge and repeat it."""

    record_schema: int = RECORD_SCHEMA
    fit_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    spec: FitSpec
    state: Literal["done", "failed"]
    scores: tuple[Score, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    health: dict[str, float] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()
    facts: dict[str, str | int | float] = Field(default_factory=dict)
    protocol: ProtocolFacts | None = None
    updates: int = 0
    selected_step: int | None = None
    timings: Timings = Timings()
    peak_memory_mib: float = 0.0
    peak_gpu_memory_mib: float | None = None
    environment: Environment | None = None
    source_digest: str = ""
    command: str = ""
    started: str = ""
    finished: str = ""
    failure: Failure | None = None

    def score(self, metric: str = "map", view: str = "clean") -> float | None:
        """The value of one metric under one view, or None when it was not measured."""
        for score in self.scores:
            if score.metric == metric and score.view == view:
                return score.value
        return None


@dataclass(frozen=True)
class Artifacts:
    """The bulky part of a result: codes (arrays for `codes.npz`), weights, curve rows, log text, images."""

    codes: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    log: str = ""


class Store:
    """A results folder: `<dataset>/<method>/<bits>b-<share>-s<seed>-<fit_id>/record.json` and its siblings."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, spec: FitSpec) -> Path:
        """Where a fit's files live."""
        share = f"{spec.label_fraction:g}".replace(".", "p")
        name = f"{spec.bits}b-{share}-s{spec.seed}-{spec.fit_id}"
        return self.root / spec.dataset / spec.method / name

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

    def save(self, record: Record, artifacts: Artifacts) -> Path:
        """Write a fit's files, the record last: a folder with a record is complete. Returns the folder."""
        folder = self.folder(record.spec)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "record.json").unlink(missing_ok=True)  # from here on the old files no longer match it
        if artifacts.codes:
            _replace(folder / "codes.npz", _npz(artifacts.codes))
        if artifacts.weights:
            _replace(folder / "weights.safetensors", _safetensors(artifacts.weights))
        if artifacts.curve:
            _replace(folder / "curve.csv", _csv(artifacts.curve).encode())
        if artifacts.log:
            _replace(folder / "log.txt", artifacts.log.encode())
        _replace(folder / "record.json", (record.model_dump_json(indent=1) + "\n").encode())
        for leftover in (folder / "checkpoint.pt", *folder.glob(".*.tmp")):  # of this fit's killed runs
            leftover.unlink(missing_ok=True)
        return folder

    def records(self) -> Iterator[Record]:
        """Every readable record, in path order; see `unreadable` for the rest."""
        for path in self._paths():
            with contextlib.suppress(InputError):
                yield read_record(path)

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
            for path in self.root.glob(f"{_FIT_FOLDERS}/checkpoint.pt")
            if not (path.parent / "record.json").exists()
        )

    def codes(self, spec: FitSpec) -> dict[str, np.ndarray]:
        """The stored codes of a fit. Raises InputError when they are missing or unreadable."""
        path = self.folder(spec) / "codes.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"codes {str(path)!r} cannot be read: {error}") from error

    def curve(self, spec: FitSpec) -> list[dict[str, float]]:
        """The rows of a fit's training curve (`step` and the logged scalars); empty when there is none."""
        try:
            with (self.folder(spec) / "curve.csv").open(newline="") as file:
                return [
                    {key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)
                ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"curve of {spec.label} ({spec.fit_id}) cannot be read: {error}") from error

    def ledger(self, spec: FitSpec) -> dict[str, str]:
        """Which trackers have this fit's record: digest of the tracking URI -> stamp of the record."""
        try:
            raw = json.loads((self.folder(spec) / "tracked.json").read_text())
            return {str(key): str(value) for key, value in raw.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def note_sent(self, spec: FitSpec, tracker: str, stamp: str) -> None:
        """Note that a tracker has the record."""
        content = json.dumps({**self.ledger(spec), tracker: stamp}, indent=1) + "\n"
        _replace(self.folder(spec) / "tracked.json", content.encode())

    def write_text(self, relative: str, text: str) -> Path:
        """Write a small file of the sweep beside the records, atomically."""
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode())
        return path

    def discard(self, spec: FitSpec) -> None:
        """Remove a fit's folder (before it is run again from the start)."""
        shutil.rmtree(self.folder(spec), ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.root.glob(f"{_FIT_FOLDERS}/record.json"))


def read_record(path: Path) -> Record:
    """Read and validate one record, upgrading older layouts. Raises InputError naming the file."""
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise InputError(f"record {str(path)!r} is larger than {MAX_RECORD_BYTES >> 20} MiB")
        raw = json.loads(path.read_text())
        if not isinstance(raw, dict) or not isinstance(raw.get("record_schema"), int):
            raise InputError(f"{str(path)!r} is no record of this benchmark")
        for number in range(raw["record_schema"], RECORD_SCHEMA):
            raw = _UPGRADES[number](raw)
        record = Record.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"record {str(path)!r} is invalid: {explain(error)}") from None
    except (OSError, ValueError, RecursionError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"record {str(path)!r} cannot be read: {error}") from error
    if record.fit_id != record.spec.fit_id:
        raise InputError(f"record {str(path)!r} names fit {record.fit_id} but describes {record.spec.fit_id}")
    return record


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename over: a killed process leaves the old file or the new one."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _safetensors(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    content: bytes = save(dict(tensors))
    return content


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    return buffer.getvalue()
