"""What authors read: public callables say what they take, give and raise, in numpydoc's sections."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark import contracts, metrics, spec
from benchmark.methods import _stepwise
from benchmark.store import record, store

ROOMS: dict[str, list[Any]] = {
    "contracts": [getattr(contracts, name) for name in contracts.__all__],
    "metrics": [getattr(metrics, name) for name in metrics.__all__],
    "spec": [getattr(spec, name) for name in spec.__all__],
    "store": [
        *store.Store.__mro__[:-1],
        store.existing,
        store.find,
        *(
            one
            for one in vars(record).values()
            if isinstance(one, type) and one.__module__ == record.__name__
        ),
    ],
    "stepwise": [
        _stepwise.StepwiseMethod,
        _stepwise.StepwiseParams,
        _stepwise.Batch,
        _stepwise.batch_index,
        _stepwise.parameters_of,
    ],
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
    assert lacking == []


def fields_of(one: type) -> Iterator[str]:
    """The public fields that a class itself declares, but those whose own description says what they are."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
    assert isinstance(tree, ast.ClassDef)
    described = getattr(one, "model_fields", {})
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            inherited = any(name in inspect.get_annotations(base) for base in one.__mro__[1:])
            if not (name.startswith("_") or inherited or getattr(described.get(name), "description", None)):
                yield name


@pytest.mark.parametrize("room", ROOMS)
def test_public_classes_say_what_their_fields_are(room: str) -> None:
    classes = [one for one in ROOMS[room] if inspect.isclass(one) and one.__module__.startswith("benchmark.")]
    lacking = []
    for one in classes:
        told = vars(one).get("__doc__") or ""
        lacking += [] if told else [one.__name__]
        lacking += [
            f"{one.__name__}.{name}" for name in fields_of(one) if not re.search(rf"\b{name}\b", told)
        ]
    assert classes
    assert lacking == []


@pytest.mark.parametrize("package", [contracts, metrics, spec])
def test_public_constants_are_explained_where_they_are_defined(package: Any) -> None:
    folder = Path(package.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    plain = [
        name
        for name in package.__all__
        if not inspect.isfunction(one := getattr(package, name))
        and not (inspect.isclass(one) and one.__module__.startswith("benchmark."))
    ]
    assert plain
    assert [name for name in plain if not re.search(rf"^#:.*\n(?:#:.*\n)*{name}\b", text, re.MULTILINE)] == []


def test_examples_are_what_comes_out() -> None:
    assert metrics.mean_average_precision([[1, 1]], [[1, 1], [-1, -1]], [0], [0, 1]) == 1.0
    assert metrics.pack_codes([[1.5, -0.2, 0.0]]).tolist() == [[160]]
    assert spec.canonical_json({"b": 1, "a": [True, None]}) == '{"a":[true,null],"b":1}'


def test_recipes_name_files_that_are_there() -> None:
    root = Path(contracts.__file__).parents[2]
    text = (root / "docs" / "contributing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:benchmark|methods|datasets|tests)/[\w/.]+)`", text))
    assert len(named) > 20
    assert [one for one in sorted(named) if "NAME" not in one and not (root / one).exists()] == []
