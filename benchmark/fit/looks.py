"""When a model in training is looked at, where the one to score is chosen, and when that ends the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.spec.fit import Selection
from benchmark.store.record import CurvePoint


@dataclass(frozen=True)
class Looks:
    """The plan of a fit's looks. What is asked of the curve adds to those that choose and moves none of them.

    stops_after: as of `HashMethod`. curve_points, curve_steps: as of `Runtime`.
    """

    updates: int
    epochs: int
    selection: Selection
    stops_after: int | None
    curve_points: int
    curve_steps: tuple[int, ...]

    def due(self) -> set[int]:
        """After how many updates to look."""
        asked = {*self.curve_steps, self.updates} if self.curve_steps else self._spread(self.curve_points)
        return asked | self.choosing()

    def choosing(self) -> set[int]:
        """Where the model to score is chosen: ten times; with early stopping every epoch, if those are more."""
        if self.selection == "last":
            return set()
        return self._spread(max(10, self.epochs) if self.stops_after else 10)

    def stopped(self, curve: Sequence[CurvePoint], best: int | None) -> bool:
        """Whether `stops_after` looks in a row chose no better model than that of update `best`."""
        if not self.stops_after or best is None:
            return False
        choosing = self.choosing()
        return sum(best < one.step and one.step in choosing for one in curve) >= self.stops_after

    def _spread(self, points: int) -> set[int]:
        """So many updates, evenly apart, the last one among them."""
        points = min(points, self.updates)
        return {max(1, round(self.updates * (number + 1) / points)) for number in range(points)}
