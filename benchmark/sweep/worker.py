"""What a worker does with one job: load its data once, run it, hand back plain data. Runs in any process."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark import registry
from benchmark.contracts import DatasetInfo
from benchmark.data.load import LoadedDataset, load, load_known
from benchmark.fit import view_job
from benchmark.fit.devices import free_cache, is_broken, resolve_device
from benchmark.fit.failures import describe_failure
from benchmark.fit.result import Interrupted, Result
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.spec import Job, ViewJob
from benchmark.store.store import Store
from benchmark.sweep.executors import Link


@dataclass(frozen=True)
class Work:
    """Runs jobs. Picklable: a spawned process or another machine gets a copy.

    `shipped` holds data sets that travel along, for machines that do not see the data folder. `infos` holds the
    facts of those that the driver has opened: a worker finds them in the decoded cache by the fit's fingerprint.
    """

    results: Path
    runtime: Runtime
    data_root: Path | None
    shipped: Mapping[str, LoadedDataset] = field(default_factory=dict)
    infos: Mapping[str, DatasetInfo] = field(default_factory=dict)

    def __call__(self, job: Job, link: Link) -> Result | None:
        """The job's result, or None when it was asked to stop and saved its training state."""
        data, store = self._data(job.fit.dataset, job.fit.fingerprint), Store(self.results)
        runtime = replace(self.runtime, device=resolve_device(self.runtime.device))
        result: Result
        try:
            if isinstance(job, ViewJob):
                where = (store, self.data_root)
                result = view_job.revisit(job, data, self._data, runtime, *where, link.emit, link.stopping)
            else:
                result = run_job(
                    job,
                    data,
                    runtime,
                    workdir=store.folder(job.fit),
                    progress=link.emit,
                    stop=link.stopping,
                )
        except Interrupted:
            return None
        except Exception as error:
            if is_broken(runtime.device, describe_failure(error)):
                link.retire()
            raise
        finally:
            free_cache(runtime.device)
        failure = result.failure
        if failure is not None and is_broken(runtime.device, failure):
            link.retire()
        return result

    def _data(self, name: str, fingerprint: str = "") -> LoadedDataset:
        if name in self.shipped:
            return self.shipped[name]
        return _load(name, self.data_root, self.infos.get(name), fingerprint)


@functools.lru_cache(maxsize=3)  # the fits' own and those that views compare it with
def _load(name: str, data_root: Path | None, info: DatasetInfo | None, fingerprint: str) -> LoadedDataset:
    known = load_known(info, fingerprint) if info is not None and fingerprint else None
    return load(registry.dataset(name, data_root), data_root) if known is None else known
