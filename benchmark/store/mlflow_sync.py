"""Brings a tracker up to date with a results folder, beside other drivers that do the same."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable

from benchmark.store.locks import FitLocks
from benchmark.store.mlflow import Tracker
from benchmark.store.mlflow_connection import TIMEOUT
from benchmark.store.record import Record
from benchmark.store.store import Store

#: Seconds for one request of a `sync`: it has time.
_SYNC_TIMEOUT = "60"
#: Fits that are sent without a word; each takes about a tenth of a second.
_FEW = 20
#: Seconds that another driver is given to send what it holds.
_MOMENT = 10.0


def catch_up(
    tracker: Tracker,
    records: Iterable[Record],
    locks: FitLocks,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Send the records that the tracker lacks, each under its fit's lock: two drivers make no second run of it.

    A fit that another driver holds is left to that driver, whom we give a moment. False when the tracker failed
    or refused a fit, or `stop` said so.
    """
    left, deadline, whole = deque(tracker.missing(records)), time.monotonic() + _MOMENT, True
    if len(left) > _FEW:
        note(f"sending {len(left)} fits to MLflow")
    while left and not stop():
        record = left.popleft()
        try:
            ours = locks.take(record.fit_id)
        except OSError:  # the disk is full: the next run sends it
            return False
        if ours:
            try:
                if not tracker.send(record):
                    if tracker.paused:
                        return False
                    whole = False  # refused: the others are sent all the same
            finally:
                locks.release(record.fit_id)
        elif not tracker.is_sent(record) and time.monotonic() < deadline:
            left.append(record)
            time.sleep(0.1)
    return whole and not left


def end_dead(uri: str, store: Store) -> None:
    """Show no killed driver's fits and sweeps as running; see `Tracker.end_dead`."""
    if any([*store.root.glob("claims/*.live"), *store.root.glob("sweeps/.*.open")]):
        with FitLocks(store.root) as locks:
            Tracker(uri, store).end_dead(locks)


def sync(store: Store, tracker: Tracker) -> tuple[int, int]:
    """Send every record that the tracker, asked itself, lacks. Returns (sent now or before, not sent)."""
    if os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT) == TIMEOUT:  # the user's own value stays
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = _SYNC_TIMEOUT
    records = [*store.records()]
    with FitLocks(store.root) as locks:
        tracker.end_dead(locks)
        catch_up(tracker, tracker.missing(records, ask=True), locks)
    missing = [record for record in records if not tracker.is_sent(record)]
    tracker.settle_sweeps({record.sweep for record in records} - {record.sweep for record in missing})
    return len(records) - len(missing), len(missing)
