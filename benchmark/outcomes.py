"""What a run says and keeps of its jobs: one line each, the record of a fit that was lost, the sum of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from benchmark import environment, registry, trial
from benchmark.errors import InputError
from benchmark.records import Artifacts, Failure, FailureKind, Record, Store
from benchmark.spec import Job
from benchmark.watch import Runtime


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


def lost(
    job: Job, kind: FailureKind, message: str, trace: str, started: str, runtime: Runtime
) -> trial.Outcome:
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
    return trial.Outcome(record, Artifacts())


def unwritable(store: Store, what: str, error: OSError) -> InputError:
    """The error of a results folder that takes no more files."""
    reason = error.strerror or error
    return InputError(
        f"{what} cannot be written to {str(store.root)!r}: {reason}; make room and run the same command again"
    )


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def title(job: Job) -> str:
    """The fit's name, and how many views of it."""
    count = f"{len(job.views)} view{'' if len(job.views) == 1 else 's'}"
    return f"{job.fit.label}: {count}" if job.stored else job.fit.label


def mean_map(found: Record) -> str:
    """The mean mAP over the scores of new views, as the end of a line."""
    values = [score.value for score in found.scores if score.metric == "map"]
    return f", mean mAP {sum(values) / len(values):.4f}" if values else ""


def one_line(record: Record) -> str:
    """What became of a fit: its mAP and seconds, or why it failed."""
    if record.failure is not None:
        return f"{record.spec.label}: FAILED ({record.failure.kind}: {record.failure.message})"
    value = record.score()
    flags = f"  [{'; '.join(record.flags)}]" if record.flags else ""
    score = "no mAP" if value is None else f"mAP {value:.4f}"
    return f"{record.spec.label}: {score} in {record.timings.total:.1f} s{flags}"
