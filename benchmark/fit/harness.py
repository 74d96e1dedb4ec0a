"""The harness's own side of a running fit, kept apart from the context that a method is handed."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from benchmark.contracts import FitContext, HashMethod
from benchmark.fit.compiled import Compiled
from benchmark.fit.curves.probes import Probes
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.runtime import Progress, Runtime


@dataclass(frozen=True)
class Harness:
    """The harness's own side of a running fit, which `attach` keeps apart from the context that a method is handed:
    queries, database and hidden labels are reached from the evaluator.
    """

    method: HashMethod
    evaluator: Evaluator
    runtime: Runtime
    progress: Callable[[Progress], None] = lambda event: None
    stop: Callable[[], bool] = lambda: False

    @functools.cached_property
    def probes(self) -> Probes:
        """What measures generated images and the class head."""
        how = self.runtime
        return Probes(self.evaluator, frozenset(how.curve_metrics), how.curve_samples, how.inception_weights)

    @functools.cached_property
    def compiled(self) -> Compiled:
        """What compiles the method's networks."""
        return Compiled(self.method, self.evaluator.device, self.runtime.compile)


_HARNESS_OF: weakref.WeakKeyDictionary[FitContext, Harness] = weakref.WeakKeyDictionary()


def attach(
    ctx: FitContext,
    method: HashMethod,
    evaluator: Evaluator,
    runtime: Runtime,
    progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> Harness:
    """Give a context what it evaluates with, before training begins."""
    _HARNESS_OF[ctx] = Harness(method, evaluator, runtime, progress, stop)
    return _HARNESS_OF[ctx]


def harness_of(ctx: FitContext) -> Harness | None:
    """What was given to a context; None before and after its training."""
    return _HARNESS_OF.get(ctx)


def detach(ctx: FitContext) -> None:
    """Take it away after training: a method that keeps its context must not keep the data set in memory."""
    harness = _HARNESS_OF.pop(ctx, None)
    if harness is not None:
        harness.compiled.end()
