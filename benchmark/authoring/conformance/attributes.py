"""What a method holds: every value that can be reached from its attributes, in a form that compares."""

from __future__ import annotations

import itertools
import random
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.contracts import FitContext, HashData, HashMethod, Params

#: Where a value hangs, to its kind (for people) and something that compares.
Kept = dict[str, tuple[str, object]]

_DEPTH = 7
#: What torch keeps in every module, beside its tensors.
_TORCHS = frozenset(vars(nn.Module()))
_NO_STATE = (FitContext, Params, HashData, types.ModuleType, type, torch.device, torch.dtype)


def kept(method: HashMethod) -> Kept:
    """What hangs on a method and on its class, as `values` finds it."""
    shared = types.SimpleNamespace(**on_class(type(method)))
    return {**values(method), **values(shared, type(method).__name__)}


def values(root: object, path: str = "") -> Kept:
    """Tensors, arrays, numbers, text, generators, optimisers and modules in attributes, dicts, lists and objects.

    Left out: parameters, the context, the training data, and what can be called.
    """
    return {where: (type(value).__name__, form) for where, value, form in _walk(root, path, (), 0)}


def on_class(cls: type[HashMethod]) -> dict[str, Any]:
    """What stands on the class itself and can change: all instances share it, another process does not."""
    kinds = (Tensor, np.ndarray, np.random.Generator, dict, list, set, deque, int, float)
    return {name: v for name, v in vars(cls).items() if isinstance(v, kinds) and not name.startswith("__")}


def _walk(value: Any, path: str, inside: tuple[int, ...], depth: int) -> Iterator[tuple[str, Any, object]]:
    form = _form(value)
    if form is not None:
        yield path, value, form
        return
    if depth == _DEPTH or id(value) in inside or isinstance(value, _NO_STATE):
        return
    if isinstance(value, nn.Module):
        parts = _module(value, path)
    elif isinstance(value, np.ndarray):
        parts = [(f"{path}{name}", part) for name, part in _items(value.tolist())]
    elif callable(getattr(value, "state_dict", None)):  # optimisers, schedulers
        parts = [(f"{path}{name}", part) for name, part in _items(value.state_dict())]
    elif isinstance(value, Mapping | list | tuple | set | frozenset | deque):
        parts = [(f"{path}{name}", part) for name, part in _items(value)]
    elif callable(value):
        return
    else:
        names = getattr(value, "__dict__", None) or {
            name: getattr(value, name)
            for name in getattr(type(value), "__slots__", ())
            if hasattr(value, name)
        }
        parts = [(f"{path}.{name}".lstrip("."), part) for name, part in names.items()]
    for where, part in parts:
        yield from _walk(part, where, (*inside, id(value)), depth + 1)


def _form(value: Any) -> object:
    """A value that compares, for what has no parts; None for what has."""
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, np.random.Generator | np.random.RandomState):
        state = value.bit_generator.state if isinstance(value, np.random.Generator) else value.get_state()
        return repr(state)
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, bool | int | float | complex | str | bytes | itertools.count):
        return repr(value)  # NaN equals NaN
    return None


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
    return [("[]", len(ordered)), *((f"[{number}]", part) for number, part in enumerate(ordered))]


def _module(module: nn.Module, path: str) -> list[tuple[str, Any]]:
    """Parameters, buffers (those that `state_dict` leaves out too) and plain attributes of all its parts."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    parts: list[tuple[str, Any]] = [(f"{path}.{name}", tensor) for name, tensor in tensors]
    for inner, child in module.named_modules():
        where = ".".join(filter(None, (path, inner)))
        parts += [(f"{where}.{name}", part) for name, part in vars(child).items() if name not in _TORCHS]
    return parts
