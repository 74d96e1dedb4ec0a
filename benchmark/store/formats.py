"""What the files of a results folder hold: records as JSON, codes as NumPy archives, weights, curves."""

from __future__ import annotations

import csv
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from benchmark.errors import InputError
from benchmark.files.arrays import check_size, read_npy
from benchmark.spec import explain
from benchmark.store.record import RECORD_SCHEMA, Damaged, Record

if TYPE_CHECKING:
    from torch import Tensor

#: `_UPGRADES[n]` turns a raw record of layout n into layout n + 1.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: A record is a few kilobytes; anything larger is not one.
MAX_RECORD_BYTES = 4 * 2**20
_USUAL_BYTES = 64 * 2**10
MAX_CURVE_BYTES = 256 * 2**20
MAX_CODES_BYTES = 2 * 2**30


def record_text(record: Record) -> str:
    """A record as JSON, one field a line: half the bytes of an indented one, and changes still show by field."""
    fields = json.loads(record.model_dump_json())
    # A point has twenty fields and most of them are not asked for: an absent one reads as None.
    fields["curve"] = [
        {name: value for name, value in point.items() if value is not None} for point in fields["curve"]
    ]
    lines = (
        f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in fields.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path | str) -> Record:
    """Read and validate one record, upgrading older layouts. Raises InputError naming the file."""
    try:
        text = small_text(path)
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
            check_size(sum(member.file_size for member in members), f"codes {str(path)!r}", MAX_CODES_BYTES)
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


def small_text(path: Path | str) -> str:
    """The text of a file no larger than a record may be."""
    content = b""
    with open(path, "rb", buffering=0) as file:
        # Room for a usual record: a buffer for the largest one would cost more than reading and checking it.
        while block := file.read(_USUAL_BYTES):
            content += block
            if len(content) > MAX_RECORD_BYTES:
                raise Damaged(f"{str(path)!r} is larger than {MAX_RECORD_BYTES >> 20} MiB")
    return content.decode()


def read_curve(path: Path, what: str) -> list[dict[str, float]]:
    """The rows of a training curve (`step` and the logged scalars); empty when there is no file.

    Raises InputError naming `what` for one that cannot be read.
    """
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
        raise InputError(f"curve of {what} cannot be read: {error}") from error


def read_weights(path: Path, what: str) -> dict[str, Tensor]:
    """Stored tensors, on the CPU. Raises InputError naming `what` when they are missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"weights of {what} are missing: no file {str(path)!r}")
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"weights of {what} cannot be read: {str(path)!r}: {error}") from error
