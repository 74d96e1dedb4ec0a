"""Global generators: seeded for a fit, left as they were by a look at a model in training."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.protocol import key_of
from benchmark.spec import seed_stream


@contextlib.contextmanager
def isolated_generators(device: torch.device | str = "cpu") -> Iterator[None]:
    """Leave the process's global generators (Python, numpy, torch on the CPU and on `device`) as they were.

    Other GPUs are not asked: that would open a context on each, which takes hundreds of MiB of its memory.
    """
    python, numpy_state, kind = random.getstate(), np.random.get_state(), torch.device(device)
    try:
        with torch.random.fork_rng(devices=[kind] if kind.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def undisturbed(method: object, device: torch.device | str = "cpu") -> Iterator[None]:
    """Restore global generators, and the mode and buffers (BatchNorm's statistics) of the method's networks.

    Networks are found in the method's attributes, in lists, tuples and dictionaries too. device: the fit's.
    """
    modules = list(dict.fromkeys(part for top in _networks(vars(method)) for part in top.modules()))
    modes = [module.training for module in modules]
    buffers = [buffer for module in modules for buffer in module.buffers(recurse=False)]
    kept = [buffer.detach().clone() for buffer in buffers]
    try:
        with isolated_generators(device):
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)


def _networks(value: Any, depth: int = 3) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif depth and isinstance(value, dict):
        for part in value.values():
            yield from _networks(part, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for part in value:
            yield from _networks(part, depth - 1)


def root_seed(info: DatasetInfo, seed: int) -> int:
    """What every draw of a fit starts from, by data set and seed alone: methods that share a network share its
    initialisation and batches.
    """
    return seed_stream("trial", key_of(info), seed)


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch.

    As `torch.manual_seed` does, but for kinds of device that are not in use: of each it would keep the call
    together with its whole stack, before every update.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
