"""Mirrors finished records into MLflow. The store is the truth; a dead tracker loses nothing."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmark.claims import Claims
from benchmark.errors import InputError
from benchmark.records import SAMPLES, Record, Store
from benchmark.spec import digest
from benchmark.tracked import metrics_of, params_of, stamp_of, tags_of
from benchmark.writing import remove_leftovers, scratch_of

log = logging.getLogger(__name__)

EXPERIMENT = "coophash-benchmark"
#: Seconds for which a tracker that failed is left alone.
PAUSE = 60.0
#: Seconds for one request: training waits for it, a `sync` has time.
_TIMEOUT, _SYNC_TIMEOUT = "10", "60"
#: Fits that are sent without a word; each takes about a tenth of a second.
_FEW = 20
#: Seconds that another driver is given to send what it holds.
_MOMENT = 10.0
_WHOLE = ("FINISHED", "FAILED")
_ARTIFACTS = ("record.json", "curve.csv", "codes.npz", "views.npz", "log.txt")


def default_uri(results: Path) -> str:
    """SQLite in a file inside the results folder."""
    return f"sqlite:///{(results / 'mlflow.db').resolve()}"


def check_uri(uri: str) -> str:
    """The URI itself. Raises InputError for a scheme that MLflow trackers do not have."""
    scheme = uri.split(":", 1)[0].split("+")[0]  # SQLAlchemy's drivers: postgresql+psycopg2
    if ":" not in uri or scheme not in ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "file"):
        raise InputError(
            f"tracking URI {public(uri)!r} is not understood; allowed: sqlite:///FILE, postgresql://..., http(s)://HOST:PORT"
        )
    return uri


def public(uri: str) -> str:
    """The URI without user name and password, fit for printing."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


class Tracker:
    """Sends records to one MLflow tracker, each at most once."""

    def __init__(self, uri: str, store: Store) -> None:
        self.uri, self.store = check_uri(uri), store
        self.key = digest(uri)  # a URI may hold a password: the ledger keeps its digest
        self._client: Any = None
        self._experiment = ""
        self._parents: dict[str, str] = {}
        self._paused_until = 0.0

    def send(self, record: Record) -> bool:
        """Mirror one record; True when the tracker has it. Never raises: the store keeps the result anyway."""
        if self.is_sent(record):
            return True
        if time.monotonic() < self._paused_until:
            return False
        try:
            self._send(record)
        except Exception as error:  # noqa: BLE001 - client, network, database: the sweep goes on
            log.warning("MLflow at %s failed: %s", public(self.uri), " ".join(str(error).split())[:300])
            self._pause()
            return False
        return True

    def resume(self) -> None:
        """Try again at once, however lately it failed."""
        self._paused_until = 0.0

    def close_sweep(self, sweep: str, *, ask: bool = False) -> None:
        """Mark a sweep's parent run as finished, also when the store's note says so with `ask`. Never raises."""
        if not sweep or (self._is_closed(sweep) and not ask) or time.monotonic() < self._paused_until:
            return
        try:
            client = self._connect()
            parent = self._parent(client, sweep)
            if not client.list_artifacts(parent):  # whoever made it died before they were sent
                self._send_sweep(client, parent, sweep)
            client.set_terminated(parent, "FINISHED")
            self.store.write_text(self._closed(sweep), "")
        except Exception as error:  # noqa: BLE001 - as in `send`
            log.warning("MLflow at %s failed: %s", public(self.uri), " ".join(str(error).split())[:300])
            self._pause()

    def missing(self, records: Iterable[Record], *, ask: bool = False) -> list[Record]:
        """The records that the tracker lacks: by the ledger and, for what the ledger lacks, by one search.

        With `ask` the search is believed alone, and the ledger set right: a tracker may have lost its database.
        """
        records = [*records]
        left = records if ask else [record for record in records if not self.is_sent(record)]
        if len(left) < (1 if ask else 2) or time.monotonic() < self._paused_until:
            return left  # `send` asks for a single one itself
        try:
            there = self._stamps()
            for record in left:
                has = there.get(record.fit_id) == [stamp_of(record)]
                if has != self.is_sent(record):
                    self.store.note_sent(record.spec, self.key, stamp_of(record) if has else "")
        except Exception as error:  # noqa: BLE001 - as in `send`
            log.warning("MLflow at %s failed: %s", public(self.uri), " ".join(str(error).split())[:300])
            self._pause()
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

    def _is_closed(self, sweep: str) -> bool:
        return (self.store.root / self._closed(sweep)).exists()

    def _closed(self, sweep: str) -> str:
        """The store's note that a sweep's parent run is finished in this tracker."""
        return f"sweeps/.{sweep}.{self.key}.closed"

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE
        self._client, self._parents = None, {}

    def is_sent(self, record: Record) -> bool:
        """Whether this very record is already in the tracker, by the store's own ledger."""
        return self.store.ledger(record.spec).get(self.key) == stamp_of(record)

    def _send(self, record: Record) -> None:
        client = self._connect()
        from mlflow.entities import Metric, Param, RunTag

        runs = client.search_runs([self._experiment], f"tags.fit_id = '{record.fit_id}'")
        whole = [run for run in runs if run.data.tags.get("stamp") == stamp_of(record)]
        whole = [run for run in whole if run.info.status in _WHOLE]
        for run in runs:
            if run not in whole[:1]:  # half sent, or the record of an earlier run of this fit
                client.delete_run(run.info.run_id)
        if whole:
            self.store.note_sent(record.spec, self.key, stamp_of(record))
            return
        identity = {"fit_id": record.fit_id, "kind": "fit"}
        if record.sweep:
            identity |= {"sweep": record.sweep, "mlflow.parentRunId": self._parent(client, record.sweep)}
        run = client.create_run(self._experiment, run_name=record.spec.label, tags=identity)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in metrics_of(record, self.store)]
        params = [Param(name, str(value)[:500]) for name, value in params_of(record).items()]
        tags = [RunTag(name, str(value)[:5000]) for name, value in tags_of(record).items()]
        client.log_batch(run.info.run_id, metrics, params, tags)
        folder = self.store.folder(record.spec)
        for name in _ARTIFACTS:
            if (folder / name).is_file():
                client.log_artifact(run.info.run_id, str(folder / name))
        for path in sorted(folder.glob(f"{SAMPLES}/*.png")):
            client.log_artifact(run.info.run_id, str(path), SAMPLES)
        client.set_tag(run.info.run_id, "stamp", stamp_of(record))
        client.set_terminated(run.info.run_id, "FINISHED" if record.state == "done" else "FAILED")
        self.store.note_sent(record.spec, self.key, stamp_of(record))

    def _parent(self, client: Any, sweep: str) -> str:
        """The run that a sweep's fits are children of, made when it is not there; two drivers agree on one."""
        if sweep in self._parents:
            return self._parents[sweep]
        found = self._sweep_runs(client, sweep)
        if not found:
            tags = {"sweep": sweep, "kind": "sweep"}
            made = client.create_run(self._experiment, run_name=f"sweep {sweep[:8]}", tags=tags)
            found = self._sweep_runs(client, sweep)
            if found[0].info.run_id == made.info.run_id:
                self._send_sweep(client, made.info.run_id, sweep)
            else:
                client.delete_run(made.info.run_id)
        self._parents[sweep] = str(found[0].info.run_id)
        return self._parents[sweep]

    def _send_sweep(self, client: Any, run_id: str, sweep: str) -> None:
        for path in sorted(self.store.root.glob(f"sweeps/{sweep}.*")):
            client.log_artifact(run_id, str(path))

    def _sweep_runs(self, client: Any, sweep: str) -> list[Any]:
        query = f"tags.sweep = '{sweep}' and tags.kind = 'sweep'"
        found = client.search_runs([self._experiment], query)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _connect(self) -> Any:
        if self._client is not None:
            return self._client
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # MLflow retries a dead server for minutes by default; the store keeps results, so give up at once. A
        # retried "create" could also make two runs of one fit.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _TIMEOUT)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # after the import, which sets the level itself
            logging.getLogger(name).setLevel(logging.WARNING)
        _make_database(self.uri)
        client = MlflowClient(self.uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            # A server and a folder know where artifacts go; a database would put them under the working folder.
            database = not self.uri.startswith(("http:", "https:", "file:"))
            location = (self.store.root / "mlartifacts").resolve().as_uri() if database else None
            self._experiment = client.create_experiment(EXPERIMENT, artifact_location=location)
        else:
            self._experiment = found.experiment_id
        self._client = client
        return client


def _make_database(uri: str) -> None:
    """Make the file of an SQLite tracker whole or not at all: MLflow refuses one that it was killed in making."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or "?" in uri or path.name in ("", ":memory:") or path.exists():
        return
    from mlflow import MlflowClient

    scratch = scratch_of(path)
    try:
        MlflowClient(f"sqlite:///{scratch}").search_experiments(max_results=1)
        try:
            os.link(scratch, path)
        except FileExistsError:  # another driver was faster
            pass
        except OSError:  # a file system without links
            if not path.exists():
                scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    remove_leftovers(path)


def catch_up(
    tracker: Tracker,
    records: Iterable[Record],
    claims: Claims,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Send the records that the tracker lacks, each under its fit's claim: two drivers make no second run of it.

    A fit that another driver holds is left to that driver, whom we give a moment. False when the tracker failed
    or `stop` said so.
    """
    left, deadline = deque(tracker.missing(records)), time.monotonic() + _MOMENT
    if len(left) > _FEW:
        note(f"sending {len(left)} fits to MLflow")
    while left and not stop():
        record = left.popleft()
        try:
            ours = claims.take(record.fit_id)
        except OSError:  # the disk is full: the next run sends it
            return False
        if ours:
            try:
                if not tracker.send(record):
                    return False
            finally:
                claims.release(record.fit_id)
        elif not tracker.is_sent(record) and time.monotonic() < deadline:
            left.append(record)
            time.sleep(0.1)
    return not left


def sync(store: Store, tracker: Tracker) -> tuple[int, int]:
    """Send every record that the tracker, asked itself, lacks. Returns (sent now or before, not sent)."""
    if os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _TIMEOUT) == _TIMEOUT:  # the user's own value stays
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = _SYNC_TIMEOUT
    records = [*store.records()]
    with Claims(store.root) as claims:
        catch_up(tracker, tracker.missing(records, ask=True), claims)
    missing = [record for record in records if not tracker.is_sent(record)]
    for sweep in sorted({record.sweep for record in records} - {record.sweep for record in missing}):
        tracker.close_sweep(sweep, ask=True)
    return len(records) - len(missing), len(missing)
