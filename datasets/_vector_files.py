"""Files of feature vectors, labels and parts, as people keep them; read in blocks, so that size is no matter.

`.npy`, `.npz`, `.parquet` (a column of lists), `.h5` and `.hdf5` (with ann-benchmarks' `train` and `test`),
`.safetensors`, `.fvecs` and `.bvecs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, unknown

SUFFIXES = (".npy", ".npz", ".parquet", ".pq", ".h5", ".hdf5", ".safetensors", ".fvecs", ".bvecs")
#: Names under which files hold vectors, or labels, when none is named; the first that is there is taken.
VECTORS = ("features", "embeddings", "embedding", "vectors", "x", "data", "emb", "feats", "image_embeds")
LABELS = ("labels", "label", "y", "targets", "target", "classes", "class")
PARTS = ("split", "part", "parts", "subset")
#: The two arrays of an ann-benchmarks file, and the part that each is.
ANN_BENCHMARKS = (("train", "database"), ("test", "query"))
#: Rows in one block.
BLOCK = 16_384

Read = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Rows:
    """An array on disk: `read(start, stop)` gives some of its rows. where: names it in messages."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Read
    where: str

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, rows) from the first to the last."""
        for start in range(0, len(self), BLOCK):
            yield start, np.asarray(self.read(start, min(start + BLOCK, len(self))))

    def whole(self) -> np.ndarray:
        """All rows."""
        return np.asarray(self.read(0, len(self)))


@contextmanager
def one_line(file: Path) -> Iterator[None]:
    """Whatever a reader raises becomes one line that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{str(file)!r} cannot be read: {reason}") from None


def open_arrays(file: Path) -> dict[str, Rows]:
    """The arrays of a file by name; a file that holds one nameless array gives it the name ``""``.

    Raises InputError for a file that is missing, damaged, of another kind, or holds pickled objects.
    """
    suffix = file.suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"{str(file)!r} must end with one of {', '.join(SUFFIXES)}")
    if not file.is_file():
        raise InputError(f"no file {str(file)!r}")
    with one_line(file):
        found = _READERS[suffix](file)
        return {name: rows for name, rows in found.items() if rows.shape and rows.dtype.kind in "fiubUSO"}


def pick(arrays: dict[str, Rows], key: str, usual: Sequence[str], file: Path, what: str) -> Rows | None:
    """The array named `key`; without a key the nameless one, the first with a usual name, or None.

    Raises InputError for a key that the file has not.
    """
    if key:
        if key not in arrays:
            raise unknown(f"array of {str(file)!r} for {what}", key, arrays)
        return arrays[key]
    lower = {name.lower(): name for name in reversed(list(arrays))}
    return next((arrays[lower[name]] for name in ("", *usual) if name in lower), None)


def vector_rows(arrays: dict[str, Rows], key: str, file: Path) -> list[tuple[str, Rows]]:
    """The vectors of a file: (part or ``""``, rows of numbers), two for an ann-benchmarks file.

    Raises InputError when no array can be meant, or the one that is holds no rows of numbers.
    """
    names = [name for name, _ in ANN_BENCHMARKS]
    if not key and all(name in arrays and len(arrays[name].shape) == 2 for name in names):
        found = [(part, arrays[name]) for name, part in ANN_BENCHMARKS]
    else:
        one = pick(arrays, key, VECTORS, file, "vectors")
        wide = [rows for rows in arrays.values() if len(rows.shape) == 2 and rows.dtype.kind == "f"]
        one = wide[0] if one is None and len(wide) == 1 else one
        if one is None:
            shown = ", ".join(f"{name} {rows.shape}" for name, rows in arrays.items()) or "nothing"
            raise InputError(
                f"{str(file)!r}: which array holds the vectors? It has {shown}; name one with --key"
            )
        found = [("", one)]
    for _, rows in found:
        if len(rows.shape) != 2 or not rows.shape[0] or not rows.shape[1] or rows.dtype.kind not in "fiu":
            raise InputError(f"{rows.where} must be rows of numbers (n, d), found {rows.dtype} {rows.shape}")
        if rows.shape[1] != found[0][1].shape[1]:
            first = found[0][1]
            raise InputError(f"{rows.where} has {rows.shape[1]} columns, {first.where} {first.shape[1]}")
    return found


# ---- the formats ---------------------------------------------------------------------------------------


def _of_array(array: Any, where: str) -> Rows:
    return Rows(tuple(array.shape), np.dtype(array.dtype), lambda start, stop: array[start:stop], where)


def _npy(file: Path) -> dict[str, Rows]:
    return {"": _of_array(np.load(file, mmap_mode="r", allow_pickle=False), repr(str(file)))}


def _npz(file: Path) -> dict[str, Rows]:
    with np.load(file, allow_pickle=False) as archive:
        return {name: _of_array(archive[name], f"{str(file)!r}: {name!r}") for name in archive.files}


def _safetensors(file: Path) -> dict[str, Rows]:
    from safetensors import safe_open

    stored = safe_open(file, framework="np")
    found = {}
    for name in stored.keys():  # noqa: SIM118 - it is no mapping
        part = stored.get_slice(name)
        shape, dtype = tuple(part.get_shape()), part[:0].dtype
        found[name] = Rows(shape, dtype, lambda a, b, part=part: part[a:b], f"{str(file)!r}: {name!r}")  # type: ignore[misc]
    return found


def _hdf5(file: Path) -> dict[str, Rows]:
    import h5py

    stored = h5py.File(file, "r")
    names = [name for name, item in stored.items() if isinstance(item, h5py.Dataset)]
    return {name: _of_array(stored[name], f"{str(file)!r}: {name!r}") for name in names}


def _parquet(file: Path) -> dict[str, Rows]:
    import pyarrow as pa
    from pyarrow import parquet

    stored = parquet.ParquetFile(file)
    found = {}
    for column in stored.schema_arrow:
        where = f"{str(file)!r}: column {column.name!r}"
        lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
        if lists or pa.types.is_fixed_size_list(column.type):
            if not pa.types.is_string(column.type.value_type):
                found[column.name] = _list_column(stored, column, where)
        elif not pa.types.is_nested(column.type):
            values = stored.read([column.name])[column.name].to_pandas().to_numpy()
            found[column.name] = _of_array(values, where)
    return found


def _list_column(stored: Any, column: Any, where: str) -> Rows:
    """A column of lists as rows; row groups are read one at a time."""
    counts = [stored.metadata.row_group(group).num_rows for group in range(stored.metadata.num_row_groups)]
    first = next(iter(stored.iter_batches(1, columns=[column.name])), None)
    width = 0 if first is None or first.column(0)[0].as_py() is None else len(first.column(0)[0].as_py())
    starts = np.concatenate([[0], np.cumsum(counts)])
    dtype = np.dtype(column.type.value_type.to_pandas_dtype())
    kept: dict[int, np.ndarray] = {}

    def group(number: int) -> np.ndarray:
        if number not in kept:
            values = stored.read_row_group(number, [column.name])[column.name]
            flat = values.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            lengths = values.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
            if (lengths != width).any():  # a missing list has the length NaN
                raise InputError(f"{where} has lists of differing lengths, or empty ones")
            kept.clear()
            kept[number] = flat.reshape(counts[number], width)
        return kept[number]

    def read(start: int, stop: int) -> np.ndarray:
        pieces = []
        for number in range(len(counts)):
            a, b = max(start, int(starts[number])), min(stop, int(starts[number + 1]))
            if a < b:
                pieces.append(group(number)[a - starts[number] : b - starts[number]])
        return np.concatenate(pieces) if pieces else np.empty((0, width), dtype)

    return Rows((sum(counts), width), dtype, read, where)


def _vecs(file: Path, dtype: str) -> dict[str, Rows]:
    """TEXMEX's files: before each vector its dimension as an int32."""
    raw = np.memmap(file, dtype=np.uint8, mode="r")
    width = int(raw[:4].view("<i4")[0]) if raw.size >= 4 else 0
    size = 4 + width * np.dtype(dtype).itemsize
    if width <= 0 or raw.size % size:
        whole = f"{raw.size:,} bytes are no whole vectors of {width} numbers"
        raise InputError(f"{str(file)!r} is no {file.suffix} file: {whole}")
    table = raw.reshape(-1, size)

    def read(start: int, stop: int) -> np.ndarray:
        block = np.ascontiguousarray(table[start:stop])
        if (block[:, :4].copy().view("<i4") != width).any():
            raise InputError(f"{str(file)!r} has vectors of differing dimensions")
        return block[:, 4:].copy().view(dtype)

    return {"": Rows((len(table), width), np.dtype(dtype), read, repr(str(file)))}


_READERS: dict[str, Callable[[Path], dict[str, Rows]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".safetensors": _safetensors,
    ".fvecs": lambda file: _vecs(file, "<f4"),
    ".bvecs": lambda file: _vecs(file, "u1"),
}
