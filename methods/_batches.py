"""Which images an update takes, and what it needs of them made in a thread while the update before runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from benchmark.contracts import FitContext

T = TypeVar("T")


class Ahead(Generic[T]):
    """`make(step)` for steps in turn, below `end`; the next one is begun when one is asked for."""

    def __init__(self, make: Callable[[int], T], end: int) -> None:
        self._make, self._end = make, end
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        """The step's value; what `make` raised is raised here."""
        ready = self._next[1] if self._next is not None and self._next[0] == step else None
        value = (ready or self._pool.submit(self._make, step)).result()
        self._next = (step + 1, self._pool.submit(self._make, step + 1)) if step + 1 < self._end else None
        return value

    def close(self) -> None:
        """Wait for what was begun and end the thread."""
        self._next = None
        self._pool.shutdown()


class _Slot(NamedTuple):
    epoch: int
    offset: int


def batch_index(
    n: int, batch_size: int, step: int, ctx: FitContext, device: torch.device | None = None
) -> Tensor:
    """int64 (min(batch_size, n),), on `device` (the fit's): the labelled images of update `step`.

    Batches read on through an endless row of per-epoch permutations, so each image is used equally often and
    any step's batch can be computed without the ones before it.

    Parameters
    ----------
    n : int
        Training images.
    batch_size : int
        Images of a batch.
    step : int
        Updates made so far.
    ctx : FitContext
        Its seed draws the order of each epoch.
    device : torch.device, optional
        Where the rows go; the fit's when left out.

    Returns
    -------
    int64 (batch_size,)
        Rows of the training set; fewer where there are fewer images.
    """
    size = min(batch_size, n)
    first, last = _Slot(*divmod(step * size, n)), _Slot(*divmod(step * size + size - 1, n))
    order = _permutation(n, first.epoch, ctx, device)
    if first.epoch == last.epoch:
        return order[first.offset : last.offset + 1]
    return torch.cat([order[first.offset :], _permutation(n, last.epoch, ctx, device)[: last.offset + 1]])


def _permutation(n: int, epoch: int, ctx: FitContext, device: torch.device | None) -> Tensor:
    return _seeded_permutation(n, ctx.seed("order", epoch), device or ctx.device)


@functools.lru_cache(maxsize=4)  # every update of an epoch asks for its order
def _seeded_permutation(n: int, seed: int, device: torch.device) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).to(device)
