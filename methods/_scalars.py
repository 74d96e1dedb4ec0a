"""Scalars that updates leave on their device: read together, checked and logged in their order."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class _Entry(NamedTuple):
    """step: the update. complaint: see `check`. logged: whether the values are for the log too."""

    step: int
    values: dict[str, Tensor | float]
    complaint: str
    logged: bool


class DeviceScalars:
    """Holds scalars back until they are to be read, so that an update need not wait for its device.

    log: called for each update's scalars, as floats, in order.
    """

    def __init__(self, log: Callable[[int, dict[str, float]], None]) -> None:
        self._log = log
        self._waiting: list[_Entry] = []
        self._step, self._at_once = 0, True

    def begin(self, step: int, at_once: bool) -> None:
        """What follows belongs to update `step`; `at_once` reads it as it comes."""
        self._step, self._at_once = step, at_once

    def check(self, values: Mapping[str, Tensor], complaint: str) -> None:
        """Have scalars checked. Raises FloatingPointError, now or when they are read, for one that is not finite.

        complaint: its text, with `{names}` and `{step}`.
        """
        self._add(values, complaint, logged=False)

    def log(self, values: Mapping[str, Tensor | float]) -> None:
        """Have the scalars of the update checked and logged."""
        self._add(values, "{names} became not finite at update {step}", logged=True)

    def _add(self, values: Mapping[str, Tensor | float], complaint: str, logged: bool) -> None:
        kept = {name: v.detach() if isinstance(v, Tensor) else v for name, v in values.items()}
        self._waiting.append(_Entry(self._step, kept, complaint, logged))
        if self._at_once:
            self.read()

    def read(self) -> None:
        """Read all that waits in a single transfer. Raises FloatingPointError naming the first bad values."""
        entries, self._waiting = self._waiting, []
        for entry, values in zip(entries, _floats([entry.values for entry in entries]), strict=True):
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad:
                raise FloatingPointError(entry.complaint.format(names=", ".join(bad), step=entry.step))
            if entry.logged:
                self._log(entry.step, values)

    @contextlib.contextmanager
    def read_at_the_end(self) -> Iterator[None]:
        """Read what is left after the block; a block that fails because of a bad value names that value."""
        try:
            yield
        except Exception as error:
            try:
                self.read()
            except FloatingPointError as first:
                raise first from error
            except Exception:  # noqa: BLE001 - the device may be what failed
                raise error from None
            raise
        self.read()


def _floats(rows: list[dict[str, Tensor | float]]) -> list[dict[str, float]]:
    """Every value as a float, as it was; tensors of one kind and device in a single transfer."""
    kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for value in (value for row in rows for value in row.values() if isinstance(value, Tensor)):
        kinds.setdefault((value.device, value.dtype), []).append(value.reshape(()))
    read = {kind: iter(torch.stack(values).tolist()) for kind, values in kinds.items()}
    return [
        {
            name: float(next(read[value.device, value.dtype]) if isinstance(value, Tensor) else value)
            for name, value in row.items()
        }
        for row in rows
    ]
