"""Codes of new items, in memory and as a file that `score`, `search` and `serve` read."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.store.formats import read_codes
from benchmark.use.model import Encoder, pack
from benchmark.use.sources import Source


@dataclass(frozen=True)
class Codes:
    """Codes of n items by one fit.

    codes: packed, uint8 (n, ceil(bits / 8)). outputs: float32 (n, bits), or None where a file holds none. ids: n
    names. labels: (n,) names or multi-hot (n, classes), or None. fit_id: empty where a file does not say.
    seconds: what encoding took, decoding included; notes: what a user should hear.
    """

    codes: np.ndarray
    outputs: np.ndarray | None
    ids: np.ndarray
    bits: int
    fit_id: str = ""
    protocol: str = ""
    labels: np.ndarray | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def encode(encoder: Encoder, source: Source, tell: Callable[[int], None] = lambda count: None) -> Codes:
    """Encode block by block; `tell` hears how many items each block had."""
    begun, found, spec = time.monotonic(), [], encoder.record.spec
    for block in source.blocks:
        found.append(encoder.outputs(block, features=source.vectors))
        tell(len(block))
    outputs = np.concatenate(found) if found else np.empty((0, spec.bits), dtype=np.float32)
    if not len(outputs):
        raise InputError("there is nothing to encode")
    protocol = encoder.record.protocol.text if encoder.record.protocol else spec.protocol
    return Codes(
        pack(outputs),
        outputs,
        np.array(source.names),
        spec.bits,
        encoder.record.fit_id,
        protocol,
        source.labels,
        time.monotonic() - begun,
        source.notes,
    )


def write_codes(file: Path, codes: Codes) -> None:
    """Write codes as `.npz`, under names that `score` reads (`query=FILE`, `database=FILE`)."""
    arrays: dict[str, Any] = {
        "codes": codes.codes,
        "outputs": codes.outputs,
        "bits": np.array(codes.bits),
        "ids": codes.ids,
        "fit_id": np.array(codes.fit_id),
        "protocol": np.array(codes.protocol),
    }
    if codes.labels is not None:
        arrays["labels"] = codes.labels
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        write_file(file, content.getvalue())
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be written: {error.strerror or error}") from None


def read_encoded(file: Path) -> Codes:
    """Codes as `write_codes` wrote them. Raises InputError, in one line, for a file that is anything else."""
    arrays = read_codes(file)
    missing = [name for name in ("codes", "bits", "ids") if name not in arrays]
    if missing:
        raise InputError(
            f"codes {str(file)!r} lack {', '.join(missing)}; give a file that `encode FIT --out FILE` wrote"
        )
    codes, ids, bits, outputs = arrays["codes"], arrays["ids"], arrays["bits"], arrays.get("outputs")
    if bits.shape != () or bits.dtype.kind not in "iu" or int(bits) < 1:
        raise InputError(
            f"codes {str(file)!r}: bits must be one number above 0, found {bits.dtype} {bits.shape}"
        )
    n, shape = len(ids) if ids.ndim else 0, (len(ids) if ids.ndim else 0, (int(bits) + 7) // 8)
    if codes.dtype != np.uint8 or codes.shape != shape or not n:
        raise InputError(
            f"codes {str(file)!r}: codes must be uint8 {shape}, found {codes.dtype} {codes.shape}"
        )
    if outputs is not None and (outputs.shape != (n, int(bits)) or outputs.dtype.kind != "f"):
        raise InputError(
            f"codes {str(file)!r}: outputs must be floats {(n, int(bits))}, found {outputs.dtype} {outputs.shape}"
        )
    fit_id, protocol = (str(arrays[name]) if name in arrays else "" for name in ("fit_id", "protocol"))
    return Codes(codes, outputs, ids.astype(str), int(bits), fit_id, protocol, arrays.get("labels"))
