"""What is written into the files beside a record, as bytes and text; `formats` reads them again."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a compressed archive of arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def safetensors(tensors: Mapping[str, Any]) -> bytes:
    """The bytes of a file of tensors by name."""
    from safetensors.torch import save

    content: bytes = save(dict(tensors))
    return content


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """Rows as CSV with a header, six digits a number; what a row lacks is empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    return buffer.getvalue()
