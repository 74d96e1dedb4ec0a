"""Mirrors finished records into MLflow. The store is the truth; a dead tracker loses nothing."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.spec import FitSpec
from benchmark.store.locks import FitLocks
from benchmark.store.mlflow_connection import Connection, short
from benchmark.store.mlflow_fields import MAX_METRICS, fill, identity_tags, stamp_of, times_of
from benchmark.store.record import Record
from benchmark.store.store import Store

log = logging.getLogger(__name__)

#: Seconds between two batches of a fit that trains.
LIVE_SECONDS = 30.0
_WHOLE = ("FINISHED", "FAILED")
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_LIMIT_EXCEEDED")


@dataclass
class _Live:
    """A fit that trains. sent: when its last batch was; the first comes after `LIVE_SECONDS`."""

    run_id: str = ""
    sent: float = field(default_factory=time.monotonic)
    waiting: list[tuple[str, float, int]] = field(default_factory=list)


class Tracker(Connection):
    """Sends records to one MLflow tracker, each at most once."""

    def __init__(self, uri: str, store: Store) -> None:
        super().__init__(uri, store)
        self._live: dict[str, _Live] = {}
        self._notes = (store.root / "claims").absolute()  # a method may change the working folder meanwhile

    def send(self, record: Record) -> bool:
        """Mirror one record; True when the tracker has it. Never raises: the store keeps the result anyway."""
        if self.is_sent(record):
            return True
        if self.paused:
            return False
        begun = time.monotonic()
        try:
            self._send(record)
        except Exception as error:  # noqa: BLE001 - client, network, database: the sweep goes on
            if is_refusal(error):
                log.warning("MLflow refuses %s: %s", record.spec.label, short(error))
            else:
                self._failed(error, begun)
            return False
        return True

    def follow(self, spec: FitSpec, sweep: str, values: Mapping[str, float], step: int) -> None:
        """Show a fit that trains: its numbers, in batches, every `LIVE_SECONDS` at most. Never raises.

        The run that holds them gives way to the whole record's when the fit ends; nothing is lost without it.
        """
        live, now = self._live.setdefault(spec.fit_id, _Live()), time.monotonic()
        live.waiting += [(name, value, step) for name, value in values.items() if math.isfinite(value)]
        if now - live.sent < LIVE_SECONDS or self.paused:
            del live.waiting[:-MAX_METRICS]
            return
        live.sent, rows = now, live.waiting[-MAX_METRICS:]
        live.waiting = []
        try:
            self._follow(live, spec, sweep, rows)
        except Exception as error:  # noqa: BLE001 - as in `send`
            self._failed(error, now)

    def _follow(self, live: _Live, spec: FitSpec, sweep: str, rows: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        client = self._connect()
        note = self._note(spec.fit_id)
        if not live.run_id:
            mark = uuid.uuid4().hex
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(mark)  # before the run is made: one that a kill leaves is found by it
            tags = {"fit_id": spec.fit_id, "kind": "fit", "state": "running", "live": mark}
            tags |= identity_tags(spec)
            if sweep:
                tags |= {"sweep": sweep, "mlflow.parentRunId": self._sweeps.of(sweep)}
            run = client.create_run(self._experiment, tags=tags, run_name=spec.label)
            live.run_id = str(run.info.run_id)
        moment = int(time.time() * 1000)
        client.log_batch(live.run_id, [Metric(name, value, moment, step) for name, value, step in rows])
        note.touch()  # its last sign of life

    def let_go(self) -> None:
        """End the runs of fits that were followed and have no record, for they were stopped, and of what
        `settle_sweeps` ends. Never raises.
        """
        for fit_id, live in self._live.items():
            if live.run_id and not self.paused:
                with contextlib.suppress(Exception):  # gone since the record came: the usual case
                    if self._connect().get_run(live.run_id).info.lifecycle_stage == "active":
                        self._stopped(live.run_id)
                    self._note(fit_id).unlink(missing_ok=True)
        self._live.clear()
        self.settle_sweeps()

    def _stopped(self, run_id: str, when: int | None = None) -> None:
        self._client.set_tag(run_id, "state", "stopped")
        self._client.set_terminated(run_id, "KILLED", when)

    def _note(self, fit_id: str) -> Path:
        """The store's note that a fit is followed in this tracker: the `live` tag of its run."""
        return self._notes / f"{fit_id}.{self.key}.live"

    def end_dead(self, locks: FitLocks) -> None:
        """End the runs of fits that were followed by drivers of this folder that were killed, at their last sign of
        life, and the sweeps' that they left open. A fit that somebody holds is left alone. Never raises.
        """
        for note in sorted(self._notes.glob(f"*.{self.key}.live")):
            fit_id, begun = note.name.partition(".")[0], time.monotonic()
            try:
                if self.paused or not locks.take(fit_id):
                    continue
            except OSError:  # the disk is full: the next run ends it
                return
            try:
                mark, when = note.read_text(), int(1000 * note.stat().st_mtime)
                client = self._connect()
                for run in client.search_runs([self._experiment], f"tags.live = '{uuid.UUID(mark).hex}'"):
                    if run.info.status == "RUNNING":
                        self._stopped(run.info.run_id, when)
                note.unlink()
            except (FileNotFoundError, ValueError):  # ended meanwhile, or half written: no run was made yet
                note.unlink(missing_ok=True)
            except Exception as error:  # noqa: BLE001 - as in `send`
                self._failed(error, begun)
            finally:
                locks.release(fit_id)
        self.settle_sweeps()

    def close_sweep(self, sweep: str) -> None:
        """Mark a sweep's run as finished, unless the store's note says that it is. Never raises."""
        if sweep and not self._sweeps.is_closed(sweep):
            self._try(lambda: self._sweeps.close(sweep))

    def settle_sweeps(self, sweeps: Iterable[str] = ()) -> None:
        """End the runs of `sweeps`, and those that a driver of this folder left open: finished where each planned
        fit has a record, else killed, unless somebody runs one of them. Never raises.
        """
        if ended := {*filter(None, sweeps), *self._sweeps.left_open()}:
            self._try(lambda: self._sweeps.settle(sorted(ended)))

    def _try(self, what: Callable[[], None]) -> None:
        begun = time.monotonic()
        try:
            if not self.paused:
                what()
        except Exception as error:  # noqa: BLE001 - as in `send`
            self._failed(error, begun)

    def missing(self, records: Iterable[Record], *, ask: bool = False) -> list[Record]:
        """The records that the tracker lacks: by the ledger and, for what the ledger lacks, by one search.

        With `ask` the search alone counts, and the ledger is corrected: a tracker may have lost its database.
        """
        records = [*records]
        left = records if ask else [record for record in records if not self.is_sent(record)]
        if len(left) < (1 if ask else 2) or self.paused:
            return left  # `send` asks for a single one itself
        begun = time.monotonic()
        try:
            there = self._stamps()
            for record in left:
                has = there.get(record.fit_id) == [stamp_of(record)]
                if has != self.is_sent(record):
                    self.store.note_sent(record.spec, self.key, stamp_of(record) if has else "")
        except Exception as error:  # noqa: BLE001 - as in `send`
            self._failed(error, begun)
        return [record for record in left if not self.is_sent(record)]

    def _stamps(self) -> dict[str, list[str]]:
        """The stamps of the finished runs of every fit that the tracker knows; `` for an unfinished run."""
        client = self._connect()
        found, page = dict[str, list[str]](), None
        while True:
            runs = client.search_runs([self._experiment], "tags.kind = 'fit'", page_token=page)
            for run in runs:
                whole = run.info.status in _WHOLE
                stamps = found.setdefault(run.data.tags.get("fit_id", ""), [])
                stamps.append(run.data.tags.get("stamp", "") if whole else "")
            page = runs.token
            if not page:
                return found

    def is_sent(self, record: Record) -> bool:
        """Whether this very record is already in the tracker, by the store's own ledger."""
        return self.store.ledger(record.spec).get(self.key) == stamp_of(record)

    def _send(self, record: Record) -> None:
        client = self._connect()
        runs = client.search_runs([self._experiment], f"tags.fit_id = '{record.fit_id}'")
        whole = [run for run in runs if run.data.tags.get("stamp") == stamp_of(record)]
        whole = [run for run in whole if run.info.status in _WHOLE]
        for run in runs:
            if run not in whole[:1]:  # half sent, or the record of an earlier run of this fit
                client.delete_run(run.info.run_id)
        self._note(record.fit_id).unlink(missing_ok=True)
        if whole:
            self.store.note_sent(record.spec, self.key, stamp_of(record))
            return
        identity = {"fit_id": record.fit_id, "kind": "fit"}
        if record.sweep:
            identity |= {"sweep": record.sweep, "mlflow.parentRunId": self._sweeps.of(record.sweep)}
        times = times_of(record)  # of the training, not of the upload
        made = client.create_run(
            self._experiment, times[0] if times else None, tags=identity, run_name=record.spec.label
        )
        run_id = made.info.run_id
        try:
            fill(client, run_id, record, self.store)
        except Exception as error:
            if is_refusal(error):
                with contextlib.suppress(Exception):
                    client.delete_run(run_id)
            raise
        self.store.note_sent(record.spec, self.key, stamp_of(record))


def is_refusal(error: Exception) -> bool:
    """Whether a tracker that works refused what it was sent: it would refuse it again, and takes other fits."""
    code = getattr(error, "error_code", "")
    return code in _REFUSALS or isinstance(error, TypeError | ValueError)
