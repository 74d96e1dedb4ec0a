"""The connection to one MLflow tracker, which is left alone for a while after it failed."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from benchmark.spec import digest
from benchmark.store.mlflow_address import check_uri, public
from benchmark.store.mlflow_experiment import open_experiment
from benchmark.store.mlflow_sweeps import SweepRuns
from benchmark.store.store import Store

log = logging.getLogger(__name__)

#: Seconds for which a tracker that failed is left alone.
PAUSE = 60.0
#: Seconds for one request: training waits for it.
TIMEOUT = "10"


class Connection:
    """What every request to a tracker goes through. store: the results folder that the tracker mirrors."""

    def __init__(self, uri: str, store: Store) -> None:
        self.uri, self.store = check_uri(uri), store
        self.key = digest(uri)  # a URI may hold a password: the ledger keeps its digest
        self._client: Any = None
        self._experiment = ""
        self._sweeps = SweepRuns(store, self.key, lambda: (self._connect(), self._experiment))
        self._paused_until = 0.0
        # MLflow retries a dead server for minutes by default; the store keeps results, so give up at once. A
        # retried "create" could also make two runs of one fit. Set here: what is set during a fit is put back.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT)

    @property
    def paused(self) -> bool:
        """Whether it failed a short while ago and is left alone."""
        return time.monotonic() < self._paused_until

    def resume(self) -> None:
        """Try again at once, however lately it failed."""
        self._paused_until = 0.0

    def _failed(self, error: Exception, begun: float) -> None:
        """Say that the tracker failed, and leave it alone for a while."""
        took = time.monotonic() - begun
        text = "MLflow at %s failed after %.0f s: %s; it is tried again in %.0f s at the earliest"
        log.warning(text, public(self.uri), took, short(error), PAUSE)
        self._paused_until = time.monotonic() + PAUSE
        self._client = None
        self._sweeps.forget()

    def _connect(self) -> Any:
        if self._client is None:
            self._client, self._experiment = open_experiment(self.uri, self.store.root)
        return self._client


def short(error: Exception) -> str:
    """An exception in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
