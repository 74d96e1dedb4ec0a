"""What authors read: public callables say what they take, give and raise, in numpydoc's sections."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmark import contracts, metrics, spec
from benchmark.methods import _stepwise
from benchmark.store import store

ROOMS: dict[str, list[Any]] = {
    "contracts": [getattr(contracts, name) for name in contracts.__all__],
    "metrics": [getattr(metrics, name) for name in metrics.__all__],
    "spec": [getattr(spec, name) for name in spec.__all__],
    "store": [store.Store, store.find],
    "stepwise": [_stepwise.StepwiseMethod, _stepwise.batch_index, _stepwise.parameters_of],
}


def callables(found: list[Any]) -> Iterator[tuple[str, Any]]:
    """Functions, and the methods that a class of ours defines first: what it overrides is told where it began."""
    for one in found:
        if inspect.isfunction(one):
            yield one.__name__, one
        if inspect.isclass(one) and one.__module__.startswith("benchmark."):
            for name, value in vars(one).items():
                inner = value.__func__ if isinstance(value, classmethod) else value
                inherited = any(name in vars(base) for base in one.__mro__[1:])
                if inspect.isfunction(inner) and not name.startswith("_") and not inherited:
                    yield f"{one.__name__}.{name}", inner


def sections(doc: str) -> dict[str, str]:
    """Title -> text of a docstring's sections; the words before them are under an empty title."""
    title, *pieces = re.split(r"\n\n([A-Z][a-z]+)\n-{4,}\n", "\n\n" + inspect.cleandoc(doc))
    return {"": title.strip(), **dict(zip(pieces[::2], pieces[1::2], strict=True))}


@pytest.mark.parametrize("room", ROOMS)
def test_public_callables_say_what_they_take_and_give(room: str) -> None:
    lacking, seen = [], 0
    for name, function in callables(ROOMS[room]):
        seen += 1
        said = sections(function.__doc__ or "")
        if not said[""].split("\n")[0].endswith((".", ":")) and "." not in said[""]:
            lacking.append(f"{name}: no sentence")
        signature = inspect.signature(function)
        taken = [one for one in signature.parameters if one not in ("self", "cls")]
        lines = [line for line in said.get("Parameters", "").split("\n") if line and line[0] != " "]
        heads = {head.strip("* ") for line in lines for head in line.split(" : ")[0].split(",")}
        lacking += [f"{name}: parameter {one}" for one in taken if one not in heads]
        lacking += [f"{name}: {head} is no parameter" for head in heads - set(taken)]
        gives = str(signature.return_annotation) not in ("None", str(inspect.Signature.empty))
        if taken and gives and "Returns" not in said:
            lacking.append(f"{name}: what it returns")
    assert seen
    assert not lacking


def test_examples_are_what_comes_out() -> None:
    assert metrics.mean_average_precision([[1, 1]], [[1, 1], [-1, -1]], [0], [0, 1]) == 1.0
    assert metrics.pack_codes([[1.5, -0.2, 0.0]]).tolist() == [[160]]
    assert spec.canonical_json({"b": 1, "a": [True, None]}) == '{"a":[true,null],"b":1}'
