"""Arrays kept in the cache by the key of what they were made from: one checked file, memory-mapped."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmark.data.decode import new_hash
from benchmark.files.write import remove_leftovers, scratch_of

#: How a file begins: this, the digest of all after it, the length of what it says of itself in JSON.
_MAGIC, _HEAD = b"shelf 1\n", 32


class FileShelf:
    """One file that holds the arrays of one key; another key replaces it."""

    def __init__(self, file: Path, salt: Callable[[], str]) -> None:
        """`salt` gives a part of every key, such as a digest of the code that makes the arrays."""
        self.file, self._salt = file, salt

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of a key; None where there are none, or the file is damaged."""
        try:
            whole: np.ndarray = np.memmap(self.file, np.uint8, "r")
            if whole[:24].tobytes() != _MAGIC + new_hash(whole[24:].data).digest():
                return None
            length = int(whole[24:_HEAD].view("<i8")[0])
            told = json.loads(whole[_HEAD : _HEAD + length].tobytes())
        except (OSError, ValueError):
            return None
        if told["key"] != f"{self._salt()} {key}":
            return None
        found = {}
        for name, (kind, shape, begin) in told["arrays"].items():
            begin, dtype = begin + _HEAD + length, np.dtype(kind)
            flat = whole[begin : begin + dtype.itemsize * math.prod(shape)]
            found[name] = flat.view(dtype).reshape(shape)
        return found

    def write(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep these in place of what was there; a disk that cannot be written costs the next reader time."""
        places, end, pieces = {}, 0, list[bytes | memoryview]()
        for name, array in arrays.items():
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            places[name] = (array.dtype.str, array.shape, end)
            pieces += [flat.data, bytes(-flat.nbytes % 64)]
            end += flat.nbytes + -flat.nbytes % 64
        head = json.dumps({"key": f"{self._salt()} {key}", "arrays": places}).encode()
        head += b" " * (-(_HEAD + len(head)) % 64)
        pieces[:0] = [len(head).to_bytes(8, "little"), head]
        hasher, scratch = new_hash(), Path()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=scratch_of(self.file).name, dir=self.file.parent)
            scratch = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(bytes(24))
                for piece in pieces:
                    hasher.update(piece)
                    file.write(piece)
                file.seek(0)
                file.write(_MAGIC + hasher.digest())
            scratch.replace(self.file)
            remove_leftovers(self.file)
        except OSError:
            if scratch.name:
                with contextlib.suppress(OSError):
                    scratch.unlink()
