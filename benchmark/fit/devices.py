"""Which device and number format a fit uses."""

from __future__ import annotations

import contextlib
import gc
import re

import torch

from benchmark.errors import InputError
from benchmark.store.record import Failure


def resolve_device(name: str) -> str:
    """`auto` as cuda, mps or cpu; otherwise the name itself. Raises InputError for a device that is not there."""
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return "cpu"
    if kind == "mps" and not number:
        if torch.backends.mps.is_available():
            return "mps"
        raise InputError("device 'mps' is not available here; allowed: auto, cpu")
    if kind == "cuda" and (number.isdigit() or not number):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) < count:
            return f"cuda:{int(number or 0)}"
        raise InputError(f"device {name!r} is not available: {count} CUDA devices here")
    raise InputError(f"unknown device {name!r}; allowed: auto, cpu, cuda, cuda:N, mps")


def is_broken(device: str, failure: Failure) -> bool:
    """Whether a fit's failure has left a CUDA context that fails whatever comes next in this process.

    A device-side assert or an illegal access does; running out of memory does not.
    """
    if failure.kind == "out-of-memory":
        return False
    if re.search(r"(CUDA|HIP) error:", f"{failure.message}\n{failure.traceback}"):
        return True
    if not device.startswith("cuda"):
        return False
    try:
        torch.cuda.synchronize(device)
    except Exception:  # noqa: BLE001 - whatever it says, the device does not answer
        return True
    return False


def free_cache(device: str) -> None:
    """Give memory that torch keeps for later back to the device, where other processes may want it."""
    kind = device.partition(":")[0]
    if kind in ("cuda", "mps"):
        gc.collect()
        with contextlib.suppress(RuntimeError):  # a broken context; its process ends soon
            getattr(torch, kind).empty_cache()


def resolve_precision(name: str, device: str) -> str:
    """`auto` is bf16 on a CUDA device that supports it, fp32 elsewhere."""
    if name != "auto":
        return name
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"


def device_title(device: str) -> str:
    """The device with its hardware's name."""
    return f"{device} {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device
