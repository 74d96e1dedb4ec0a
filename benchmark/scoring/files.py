"""Reading arrays from other people's files without running or trusting anything in them.

Nothing here unpickles: `.npy` and `.npz` are read by their headers, `.mat` by scipy and h5py, `.pt`
with torch's weights-only loader. What a header claims is checked against a limit before memory is
taken, and only the arrays that are needed are read.
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.scoring.claims import LIMIT, check_claim
from benchmark.scoring.keys import ROLES, assign, role_of_file

SUFFIXES = (".npz", ".npy", ".mat", ".pt", ".pth")
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    struct.error,
)
Arrays = dict[str, Any]


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def read_npy(stream: IO[bytes], size: int, what: str, limit: int = LIMIT) -> NDArray[Any]:
    """One array in numpy's format from a stream of `size` bytes; InputError for anything else."""
    magic = stream.read(8)
    if not magic.startswith(b"\x93NUMPY"):
        pickled = magic[:1] == b"\x80"
        raise InputError(
            f"{what} is no .npy array" + (" but a pickle, which is not loaded" if pickled else "")
        )
    try:
        version = np.lib.format.read_magic(io.BytesIO(magic))
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        if version > (2, 0):
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = read(stream)
    except _BROKEN as error:
        raise InputError(f"{what}: the header cannot be read: {_short(error)}") from None
    if dtype.hasobject:
        raise InputError(f"{what} holds Python objects (a pickle), which are not loaded")
    if any(side < 0 for side in shape):
        raise InputError(f"{what}: the header claims shape {shape}")
    claimed = math.prod(shape) * dtype.itemsize
    check_claim(claimed, what, limit)
    left = size - stream.tell()
    if claimed > left:
        raise InputError(f"{what} is truncated: its header claims {claimed} bytes, {left} are there")
    data = stream.read(claimed)
    if len(data) != claimed:
        raise InputError(f"{what} is truncated: its header claims {claimed} bytes, {len(data)} could be read")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _load_npz(path: Path, limit: int) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        roles = assign(members, path.name)
        check_claim(sum(members[key].file_size for key in roles.values()), path.name, limit)
        found: Arrays = {}
        for role, key in roles.items():
            with archive.open(members[key]) as stream:
                found[role] = read_npy(stream, members[key].file_size, f"{path.name}: {key!r}", limit)
        return _complete(found, path, list(members))


def _load_mat(path: Path, limit: int) -> Arrays:
    with path.open("rb") as stream:
        head = stream.read(520)
    if b"MATLAB 7.3" in head[:128] or b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]):
        from benchmark.scoring.matlab import load_v73 as load
    else:
        from benchmark.scoring.matlab import load_v5 as load
    found, keys = load(path, limit)
    return _complete(found, path, keys)


def _load_pt(path: Path, limit: int) -> Arrays:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_claim(sum(info.file_size for info in archive.infolist()), path.name, limit)
    else:
        check_claim(path.stat().st_size, path.name, limit)
    import pickle  # for the name of its exception only

    import torch

    try:
        with warnings.catch_warnings():  # torch also warns about a pickle that it goes on to refuse
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to load it all the same
        raise InputError(f"{path.name} holds more than tensors, or is damaged; it is not loaded") from None
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds a {type(content).__name__}; expected a dictionary of tensors")
    roles = assign([key for key in content if isinstance(key, str)], path.name)
    return _complete({role: content[key] for role, key in roles.items()}, path, list(map(str, content)))


def _complete(found: Arrays, path: Path, keys: list[str]) -> Arrays:
    """`found`, if codes and labels of both sets are there; InputError with the keys of the file."""
    missing = missing_roles(found)
    if missing:
        present = ", ".join(keys[:20]) or "nothing"
        small = "; `compact` left them out: run the fit again for whole codes" if "query_ap" in keys else ""
        raise InputError(f"{path.name} lacks {' and '.join(missing)}; it holds: {present}{small}")
    return found


def missing_roles(found: Arrays) -> list[str]:
    """What scoring needs and `found` lacks, in words."""
    needed = []
    for side in ("query", "database"):
        if not {f"{side}_codes", f"{side}_outputs"} & set(found):
            needed.append(f"{side}_codes (or {side}_outputs)")
        if f"{side}_labels" not in found:
            needed.append(f"{side}_labels")
    return needed


_LOADERS: dict[str, Callable[[Path, int], Arrays]] = {
    ".npz": _load_npz,
    ".mat": _load_mat,
    ".pt": _load_pt,
    ".pth": _load_pt,
}


def load_arrays(names: tuple[str, ...], limit: int = LIMIT) -> Arrays:
    """role -> array from one `.npz`, `.mat` or `.pt` file, or from several `.npy` files.

    A `.npy` file's role is read from its name (`x_test_labels.npy`) or stated (`query_labels=x.npy`).
    Raises InputError, in one line, for a file that is missing, broken, unsafe or incomplete.
    """
    parts = [_stated(name) for name in names]
    for _, path in parts:
        if not path.is_file():
            raise InputError(f"no such file: {path}")
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path.name}: unknown kind of file; allowed: {', '.join(SUFFIXES)}")
    if all(path.suffix.lower() == ".npy" for _, path in parts):
        return _load_npy_files(parts, limit)
    if len(parts) != 1:
        raise InputError("give one .npz, .mat or .pt file, or several .npy files")
    path = parts[0][1]
    try:
        return _LOADERS[path.suffix.lower()](path, limit)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{path.name} cannot be read (truncated or not what it says): {_short(error)}"
        ) from None


def _stated(name: str) -> tuple[str | None, Path]:
    role, equals, rest = name.partition("=")
    if equals and not Path(name).exists():
        if role not in ROLES:
            raise InputError(f"unknown role {role!r} in {name!r}; known: {', '.join(ROLES)}")
        return role, Path(rest)
    return None, Path(name)


def _load_npy_files(parts: list[tuple[str | None, Path]], limit: int) -> Arrays:
    found: Arrays = {}
    for stated, path in parts:
        role = stated or role_of_file(path.stem)
        if role is None:
            raise InputError(
                f"{path.name}: its name states no role; write ROLE=FILE, ROLE one of {', '.join(ROLES)}"
            )
        if role in found:
            raise InputError(f"{path.name}: {role} is given twice")
        with path.open("rb") as stream:
            found[role] = read_npy(stream, path.stat().st_size, path.name, limit)
    missing = missing_roles(found)
    if missing:
        raise InputError(f"the .npy files lack {' and '.join(missing)}; they hold: {', '.join(found)}")
    return found
