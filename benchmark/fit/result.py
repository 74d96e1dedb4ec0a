"""What a job returns."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.store.record import Artifacts, Record


class Interrupted(Exception):
    """The fit was asked to stop; its training state is saved and no record was made."""


@dataclass(frozen=True)
class Outcome:
    """A finished or failed job."""

    record: Record
    artifacts: Artifacts
