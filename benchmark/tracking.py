"""Mirrors finished records into MLflow. The store is the truth; a dead tracker loses nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.records import SAMPLES, Record, Store
from benchmark.spec import digest

log = logging.getLogger(__name__)

EXPERIMENT = "coophash-benchmark"
#: Seconds for which a tracker that failed is left alone.
PAUSE = 60.0
#: Seconds for one request: training waits for it, a `sync` has time.
_TIMEOUT, _SYNC_TIMEOUT = "10", "60"
#: Curve points kept per metric: one batched call holds at most 1,000 metrics.
MAX_METRICS = 1000
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

    def close_sweep(self, sweep: str) -> None:
        """Mark a sweep's parent run as finished. Never raises."""
        if not sweep or time.monotonic() < self._paused_until:
            return
        try:
            client = self._connect()
            client.set_terminated(self._parent(client, sweep), "FINISHED")
        except Exception as error:  # noqa: BLE001 - as in `send`
            log.warning("MLflow at %s failed: %s", public(self.uri), " ".join(str(error).split())[:300])
            self._pause()

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE
        self._client, self._parents = None, {}

    def is_sent(self, record: Record) -> bool:
        """Whether this very record is already in the tracker, by the store's own ledger."""
        return self.store.ledger(record.spec).get(self.key) == _stamp(record)

    def _send(self, record: Record) -> None:
        client = self._connect()
        from mlflow.entities import Metric, Param, RunTag

        for run in client.search_runs([self._experiment], f"tags.fit_id = '{record.fit_id}'"):
            if run.data.tags.get("stamp") == _stamp(record) and run.info.status in ("FINISHED", "FAILED"):
                self.store.note_sent(record.spec, self.key, _stamp(record))
                return
            client.delete_run(run.info.run_id)  # half sent, or the record of an earlier run of this fit
        identity = {"fit_id": record.fit_id, "kind": "fit"}
        if record.sweep:
            identity |= {"sweep": record.sweep, "mlflow.parentRunId": self._parent(client, record.sweep)}
        run = client.create_run(self._experiment, run_name=record.spec.label, tags=identity)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in _metrics(record, self.store)]
        params = [Param(name, str(value)[:500]) for name, value in _params(record).items()]
        tags = [RunTag(name, str(value)[:5000]) for name, value in _tags(record).items()]
        client.log_batch(run.info.run_id, metrics, params, tags)
        folder = self.store.folder(record.spec)
        for name in _ARTIFACTS:
            if (folder / name).is_file():
                client.log_artifact(run.info.run_id, str(folder / name))
        for path in sorted(folder.glob(f"{SAMPLES}/*.png")):
            client.log_artifact(run.info.run_id, str(path), SAMPLES)
        client.set_tag(run.info.run_id, "stamp", _stamp(record))
        client.set_terminated(run.info.run_id, "FINISHED" if record.state == "done" else "FAILED")
        self.store.note_sent(record.spec, self.key, _stamp(record))

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
                for path in sorted(self.store.root.glob(f"sweeps/{sweep}.*")):
                    client.log_artifact(made.info.run_id, str(path))
            else:
                client.delete_run(made.info.run_id)
        self._parents[sweep] = str(found[0].info.run_id)
        return self._parents[sweep]

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


def _stamp(record: Record) -> str:
    views = sorted([facts.view, facts.version, facts.evaluated] for facts in record.views)
    return digest([record.fit_id, record.finished, record.state, *([views] if views else [])])


def _metrics(record: Record, store: Store) -> list[tuple[str, float, int]]:
    rows = [(f"{_plain(score.view)}.{score.metric}", score.value, record.updates) for score in record.scores]
    rows += [(f"health.{name}", value, record.updates) for name, value in record.health.items()]
    for point in record.curve:
        values = point.model_dump(exclude={"step", "map", "part"}, exclude_none=True)
        rows.append((f"curve.map.{point.part}", point.map, point.step))
        rows += [(f"curve.{name}", value, point.step) for name, value in values.items()]
    timings = record.timings.model_dump()
    rows += [(f"seconds.{name}" if "_" not in name else name, value, 0) for name, value in timings.items()]
    rows.append(("peak_memory_mib", record.peak_memory_mib, 0))
    curve = store.curve(record.spec)
    columns = [name for name in (curve[0] if curve else {}) if name != "step"]
    if columns:
        room = (MAX_METRICS - len(rows)) // len(columns)
        stride = -(-len(curve) // max(1, room))
        for row in curve[::stride]:
            rows += [(f"train.{name}", row[name], int(row["step"])) for name in columns if name in row]
    return [row for row in rows if row[1] == row[1] and abs(row[1]) != float("inf")][:MAX_METRICS]


def _plain(view: str) -> str:
    """A view's name with the letters that MLflow takes in a metric's."""
    return view.replace("@", ".")


def _params(record: Record) -> dict[str, Any]:
    spec = record.spec.model_dump(mode="json")
    params = {f"param.{name}": value for name, value in spec.pop("params").items()}
    return {**spec, **params}


def _tags(record: Record) -> dict[str, Any]:
    tags: dict[str, Any] = {
        "state": record.state,
        "command": record.command,
        "flags": "; ".join(record.flags),
    }
    if record.protocol:
        tags |= {"protocol": record.protocol.text, "rules": record.protocol.rules_text}
    if record.environment:
        env = record.environment
        tags |= {"commit": env.commit, "dirty": env.dirty, "device": env.device, "precision": env.precision}
    if record.failure:
        tags["failure"] = f"{record.failure.kind}: {record.failure.message}"
    return {name: value for name, value in tags.items() if value not in ("", None)}


def sync(store: Store, tracker: Tracker) -> tuple[int, int]:
    """Send every record that the tracker lacks. Returns (sent now or before, not sent)."""
    if os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _TIMEOUT) == _TIMEOUT:  # the user's own value stays
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = _SYNC_TIMEOUT
    sent = missing = 0
    sweeps: dict[str, bool] = {}
    for record in store.records():
        with contextlib.suppress(InputError):
            done = tracker.send(record)
            sent, missing = sent + done, missing + (not done)
            sweeps[record.sweep] = sweeps.get(record.sweep, True) and done
    for sweep, complete in sweeps.items():
        if complete:
            tracker.close_sweep(sweep)
    return sent, missing
