"""What a job returns: a fit's record and files, or a finished fit's new views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmark.store.record import Artifacts, Failure, Record, Score, ViewFacts


class Interrupted(Exception):
    """The fit was asked to stop; its training state is saved and no record was made."""


@dataclass(frozen=True)
class FitResult:
    """A finished or failed fit: its record, and what lies beside it."""

    record: Record
    artifacts: Artifacts

    @property
    def failure(self) -> Failure | None:
        """Why it failed; None for a finished one."""
        return self.record.failure


@dataclass(frozen=True)
class ViewResult:
    """Evaluated views of a finished fit: scores, fact sheets and the arrays of `views.npz`; or why there are none.

    record: the fit's, as it was when the views were evaluated.
    """

    record: Record
    scores: tuple[Score, ...] = ()
    views: tuple[ViewFacts, ...] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    failure: Failure | None = None


Result = FitResult | ViewResult
