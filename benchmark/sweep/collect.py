"""What a run says and keeps of its jobs: one line each, the record of a fit that was lost, the sum of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from benchmark import registry
from benchmark.errors import InputError
from benchmark.fit import environment
from benchmark.fit.result import Outcome
from benchmark.fit.runtime import Runtime
from benchmark.spec import FitSpec, Job
from benchmark.store.record import Artifacts, Failure, FailureKind, Record
from benchmark.store.store import Store


@dataclass(frozen=True)
class Summary:
    """What a run did: records of every cell that has one, and what was left undone.

    `elsewhere` counts the fits that another driver on the same folder finished meanwhile, `viewed` those that got
    views from stored weights; `unviewed` says of each fit whose views failed why. Its record is kept as it was.
    """

    records: list[Record]
    ran: int
    failed: int
    interrupted: str = ""
    untracked: int = 0
    elsewhere: int = 0
    viewed: int = 0
    unviewed: tuple[str, ...] = ()


def lost(job: Job, kind: FailureKind, message: str, trace: str, started: str, runtime: Runtime) -> Outcome:
    """The result of a fit whose worker has none to give: lost, over its time, or never begun."""
    spec = job.fit
    record = Record(
        fit_id=spec.fit_id,
        spec=spec,
        state="failed",
        source_digest=registry.find("methods", spec.method).digest,
        command=runtime.command,
        sweep=runtime.sweep,
        started=started,
        finished=now(),
        environment=environment.describe(runtime.device, spec.precision, 0),
        failure=Failure(kind=kind, message=" ".join(message.split())[:1000], traceback=trace[-8000:]),
    )
    return Outcome(record, Artifacts())


def set_aside(store: Store, spec: FitSpec) -> str:
    """Keep a damaged record under another name, for its fit to be made again. Returns what to say of it."""
    try:
        place = store.set_aside(spec)
    except OSError as error:
        raise unwritable(store, f"the damaged record of {spec.label}", error) from error
    return f"{spec.label}: its damaged record is kept as {store.name(spec)}/{place}"


def unwritable(store: Store, what: str, error: OSError) -> InputError:
    """The error of a results folder that takes no more files."""
    reason = error.strerror or error
    return InputError(
        f"{what} cannot be written to {str(store.root)!r}: {reason}; make room and run the same command again"
    )


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
