"""Small pieces that several test modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmark import registry
from benchmark.data.load import LoadedDataset, load
from benchmark.fit.context import RunningContext
from benchmark.fit.runtime import Runtime
from benchmark.spec import FitSpec, Sweep
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.sweep import driver
from benchmark.sweep import plan as planning
from benchmark.sweep.collect import Summary
from benchmark.sweep.display import Lines
from benchmark.sweep.plan import Plan

#: A fit of a few dozen updates on a narrow budget: enough to learn a little, fast enough for every test.
QUICK = {"methods": ("hashnet",), "bits": (16,), "epochs": 4}

#: A closed-form method for throw-away packages; `{encode}` and `{fit}` are filled in by the tests.
METHOD = """
    import torch
    from benchmark.contracts import HashMethod, MethodInfo, Params

    class Thrown(HashMethod):
        info = MethodInfo(name="{name}", title="{name}", paper="none", year=2020, venue="none", version=1,
                          labels=("single",), supervision="pointwise", trained_by="{trained_by}")

        def fit(self, data, ctx):
            self.bits = ctx.task.bits
            {fit}

        def encode(self, images):
            flat = images.float().flatten(1)[:, 100 : 100 + self.bits]
            return {encode}

        def state(self):
            return {{"bits": torch.tensor(self.bits)}}

        def load_state(self, state, ctx):
            self.bits = int(state["bits"])
"""


def method_source(
    name: str, *, fit: str = "pass", encode: str = "flat - 64.5", trained_by: str = "closed-form"
) -> str:
    """Source of a throw-away method."""
    return METHOD.format(name=name, fit=fit, encode=encode, trained_by=trained_by)


def sweep(**changes: Any) -> Sweep:
    """A quick sweep on digits."""
    return Sweep.model_validate({**QUICK, **changes})


def one_spec(**changes: Any) -> FitSpec:
    """The fit of a sweep with one cell."""
    plan = planning.plan(sweep(**changes), Store(Path("/nonexistent")), None)
    (cell,) = plan.fits
    assert cell.fit is not None
    return cell.fit


def digits() -> LoadedDataset:
    """The digits data set, decoded."""
    return load(registry.dataset("digits"), None)


def execute(
    results: Path, *, retry: frozenset[str] = frozenset(), **changes: Any
) -> tuple[Plan, Summary, Store]:
    """Plan and run a sweep without a tracker."""
    store = Store(results)
    plan = planning.plan(sweep(**changes), store, None, retry)
    store.open()
    summary = driver.execute(plan, store, Runtime(curve_points=2), None, Lines(every=1e9))
    return plan, summary, store


@contextmanager
def stop_after(updates: int) -> Iterator[Callable[[], bool]]:
    """What asks a fit to stop once it has made so many updates. Progress, told now and then, would not do."""
    made, log = [0], RunningContext.log

    def count(ctx: RunningContext, step: int, scalars: Mapping[str, float]) -> None:
        log(ctx, step, scalars)
        made[0] = step + 1

    with mock.patch.object(RunningContext, "log", count):
        yield lambda: made[0] >= updates


def only(summary: Summary) -> Record:
    """The one record of a summary."""
    (record,) = summary.records
    return record
