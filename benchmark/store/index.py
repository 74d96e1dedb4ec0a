"""A quick view of many records: state and reason of each, kept beside them and rebuilt where they changed.

The records are the truth. The index spares `status` and `run` reading thousands of unchanged files; a row counts
only while its record's size and time are those of the file, and no number in a report comes from here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import InputError
from benchmark.spec import FitSpec
from benchmark.store.fit_files import CHECKPOINT
from benchmark.store.formats import read_record
from benchmark.store.record import Damaged, Record
from benchmark.store.store import Store

_FILE = ".index.json"
_MAX_BYTES = 512 * 2**20
#: Changed rows from which on writing the index is worth it.
_WORTH = 100


class Row(NamedTuple):
    """What lists and plans need of one record.

    `problem` is why it cannot be read, and then little else is set; `damaged` says that its content is at fault.
    """

    mtime_ns: int
    size: int
    fit_id: str = ""
    label: str = ""
    method: str = ""
    dataset: str = ""
    state: str = ""
    kind: str = ""
    message: str = ""
    source_digest: str = ""
    seconds: float = 0.0
    problem: str = ""
    views: str = ""
    damaged: bool = False
    train_seconds: float = 0.0
    epochs: int = 0

    @property
    def has(self) -> frozenset[str]:
        """What `views` holds: `view#version` for each one beside `clean`."""
        return _split(self.views)

    @property
    def reason(self) -> str:
        """Why it failed, in one line; empty for a finished one."""
        return f"{self.kind}: {self.message}" if self.kind else ""


class Index:
    """The rows of one results folder."""

    def __init__(self, store: Store) -> None:
        self._store, self._root = store, str(store.root)
        self._rows = _read(store.root / _FILE)
        self._changed = 0

    def row(self, spec: FitSpec) -> Row | None:
        """The row of one fit; None when it has no record."""
        return self._row(self._store.name(spec))

    def rows(self) -> list[Row]:
        """Every record's row, in path order; keeps the index up to date on disk."""
        found = {name: row for name in sorted(self._store.folders()) if (row := self._row(name)) is not None}
        self._changed += len(self._rows) - len(found)
        self._rows = found
        self.keep()
        return [*found.values()]

    def keep(self) -> None:
        """Write the rows down when many are new; a folder that cannot be written is read all the same."""
        if self._changed < _WORTH:
            return
        content = json.dumps({name: row for name, row in self._rows.items() if not row.problem})
        with contextlib.suppress(OSError):
            self._store.write_text(_FILE, content)
        self._changed = 0

    def unfinished(self) -> list[str]:
        """Folders of fits that were begun and hold a training state but no record."""
        begun = [
            name for name in self._store.folders() if os.path.exists(f"{self._root}/{name}/{CHECKPOINT}")
        ]
        return sorted(name for name in begun if not os.path.exists(f"{self._root}/{name}/record.json"))

    def _row(self, name: str) -> Row | None:
        path = f"{self._root}/{name}/record.json"
        try:
            facts = os.stat(path)
        except OSError:
            return None
        known = self._rows.get(name)
        if known is not None and (known.mtime_ns, known.size) == (facts.st_mtime_ns, facts.st_size):
            return known
        self._changed += 1
        try:
            row = _describe(read_record(path), facts)
        except InputError as error:
            damaged = isinstance(error, Damaged)
            row = Row(facts.st_mtime_ns, facts.st_size, problem=str(error), damaged=damaged)
        self._rows[name] = row
        return row


def _describe(record: Record, facts: os.stat_result) -> Row:
    return Row(
        facts.st_mtime_ns,
        facts.st_size,
        record.fit_id,
        record.spec.label,
        record.spec.method,
        record.spec.dataset,
        record.state,
        record.failure.kind if record.failure else "",
        record.failure.message if record.failure else "",
        record.source_digest,
        record.timings.total,
        "",
        " ".join(f"{facts.view}#{facts.version}" for facts in record.views),
        train_seconds=record.timings.train,
        epochs=record.spec.epochs or 0,
    )


@functools.lru_cache(maxsize=4096)  # thousands of fits share one set of views
def _split(views: str) -> frozenset[str]:
    return frozenset(views.split())


def _read(path: Path) -> dict[str, Row]:
    """The stored rows; none when the file is missing, damaged or from another version."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        return {str(name): Row(*values) for name, values in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
