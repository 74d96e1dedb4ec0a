"""A method's state as plain tensors that can be stored, and its scalars as numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def storable(state: Any, *, whole: bool = True) -> dict[str, Tensor]:
    """The tensors of a state by name: on the CPU, contiguous, each with memory of its own.

    Views, strided and shared tensors are copied. Raises TypeError naming what is no plain tensor: only tensors can
    be stored and loaded again without running code. whole: False while it is being learnt, and values may be None.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state() returned {_kind(state)}, not tensors by name")
    found, seen = dict[str, Tensor](), set[int]()
    for name, value in state.items():
        if not isinstance(name, str):
            raise TypeError(f"state() has the name {name!r}, which is {_kind(name)} and no text")
        if value is None and not whole:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(
                f"state()[{name!r}] is {_kind(value)}, not a tensor; torch.as_tensor makes one of numbers"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
            raise TypeError(f"state()[{name!r}] is no plain tensor of numbers: {value.layout}, {value.dtype}")
        plain = value.detach().to("cpu").resolve_conj().resolve_neg().contiguous()
        memory = plain.untyped_storage()
        # A view holds on to the whole of what it looks at, and two names of one memory cannot be stored.
        if memory.data_ptr() in seen or memory.nbytes() != plain.numel() * plain.element_size():
            plain = plain.clone()
        seen.add(plain.untyped_storage().data_ptr())
        found[name] = plain
    return found


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def logged(name: object, value: object, step: int) -> float:
    """A scalar of `ctx.log` as a float. Raises TypeError naming it when it is no number."""
    if not isinstance(value, str | bytes):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            return float(value.item() if hasattr(value, "item") else value)  # type: ignore[arg-type]
    raise TypeError(f"ctx.log at update {step}: {name!r} is {' '.join(repr(value).split())[:60]}, no number")
