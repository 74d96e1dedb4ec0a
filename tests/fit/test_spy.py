"""A spy method looks at all that it is handed: no query, no database image and no hidden label is in it."""

from __future__ import annotations

import gc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import protocol
from benchmark.fit import harness
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.spec import LabelRule, TrainJob
from tests.helpers import digits, method_source, one_spec

#: Where the walk ends: modules, classes and functions' globals hold everything of the process.
_ENDS = (types.ModuleType, type, str, bytes, int, float, types.CodeType)
FOUND: list[list[np.ndarray]] = []
Plugin = Callable[..., Path]


def reachable(*roots: Any) -> list[np.ndarray]:
    """Every array and tensor that can be reached from `roots`: attributes, items, closures, bound objects."""
    seen, todo, arrays = dict[int, Any](), list(roots), list[np.ndarray]()
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, _ENDS):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, torch.Tensor):
            arrays.append(thing.detach().cpu().numpy())
            todo += [] if thing._base is None else [thing._base]
        elif isinstance(thing, np.ndarray):
            arrays.append(thing)
            todo += [] if thing.base is None else [thing.base]
        elif isinstance(thing, types.FunctionType):
            todo += [cell.cell_contents for cell in thing.__closure__ or ()] + [thing.__defaults__]
        else:
            todo += gc.get_referents(thing)
            todo += [getattr(thing, "__self__", None)]
    return arrays


def note(*roots: Any) -> None:
    """Called by the spy, inside its fit."""
    FOUND.append(reachable(*roots))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"label_fractions": (0.1,)}, LabelRule(fraction=0.1)),
        (
            {"labels_per_class": (3,), "label_noise": (0.5,), "hidden_images": "dropped"},
            LabelRule(per_class=3, noise=0.5, hidden="dropped"),
        ),
    ],
)
def test_a_spy_finds_neither_queries_nor_hidden_labels(
    plugin: Plugin, changes: dict[str, Any], rule: LabelRule
) -> None:
    spy = "from tests.fit.test_spy import note; note(self, data, ctx)"
    plugin("spy", method_source("spy", fit=spy))
    FOUND.clear()
    data = digits()
    spec = one_spec(methods=("spy",), **changes)
    outcome = run_job(TrainJob(spec), data, Runtime())
    assert outcome.record.state == "done", outcome.record.failure
    (arrays,) = FOUND
    split = protocol.draw(protocol.PROTOCOLS["digits-20-50"], data.info, data.labels, 0, rule)
    given = np.concatenate([split.labelled, split.hidden])
    allowed = {data.images[row].tobytes() for row in given}
    shape = data.images.shape[1:]
    images = {image.tobytes() for a in arrays if a.shape[1:] == shape for image in a.astype(np.uint8)}
    assert images == allowed
    assert len(allowed) == len(given)  # no query or database image looks like one of these
    tables = [a for a in arrays if a.ndim == 2 and a.shape[1] == 10]
    assert [a.shape for a in tables] == [(len(split.labelled), 10)]
    assert (tables[0] == split.training_labels(data.labels, split.labelled)).all()
    rows = [a for a in arrays if a.dtype == np.int64 and len(a.shape) == 1 and len(a) > 20]
    assert not rows  # nor where anything lies


def test_the_walk_finds_what_is_hidden_in_closures_and_bases() -> None:
    secret = np.arange(6.0)

    class Holder:
        def __init__(self) -> None:
            self.view = torch.zeros(4, 3)[1:]
            self.call = lambda: secret

        def method(self) -> None: ...

    found = reachable({"deep": [Holder().method]})
    assert any(a is secret for a in found)
    assert any(a.shape == (4, 3) for a in found)


def test_a_context_that_a_method_keeps_does_not_keep_the_data(plugin: Plugin) -> None:
    plugin("spy", method_source("spy", fit="self.ctx = ctx"))
    run_job(TrainJob(one_spec(methods=("spy",))), digits(), Runtime())
    assert len(harness._HARNESS_OF) == 0
