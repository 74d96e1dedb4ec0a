"""Which device and number format a fit uses."""

from __future__ import annotations

import contextlib
import gc
import os
import re
from collections.abc import Iterator

import torch

from benchmark.errors import InputError
from benchmark.store.record import Failure

#: Networks so small that a GPU waits for their launches.
SMALL_BACKBONES = frozenset({"compact", "residual", "pixels", "vectors"})


def resolve_device(name: str) -> str:
    """`auto` as cuda or cpu; otherwise the name itself. Raises InputError for a device that is not there.

    mps is taken when it is named only: it has no float64, in which several methods compute.
    """
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


def has_room(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on the device through a whole fit: on a GPU up to half of what is free now."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2


def free_cache(device: str) -> None:
    """Give memory that torch keeps for later back to the device, where other processes may want it."""
    kind = device.partition(":")[0]
    if kind in ("cuda", "mps"):
        gc.collect()
        with contextlib.suppress(RuntimeError):  # a broken context; its process ends soon
            getattr(torch, kind).empty_cache()


def resolve_precision(name: str, device: str, backbone: str) -> str:
    """What a fit computes in: fp32 (IEEE single precision everywhere), tf32, bf16.

    `auto` is bf16 for large backbones on a CUDA device that supports it, fp32 elsewhere: a GPU waits for small
    networks' launches, which bf16 only adds to. tf32 is fp32 where the device has no such units.
    """
    cuda = device.startswith("cuda")
    if name == "auto":
        return (
            "bf16" if cuda and backbone not in SMALL_BACKBONES and torch.cuda.is_bf16_supported() else "fp32"
        )
    if name == "tf32" and not (cuda and torch.cuda.get_device_capability(device) >= (8, 0)):
        return "fp32"
    return name


@contextlib.contextmanager
def numerics(precision: str, device: str, deterministic: bool = False) -> Iterator[None]:
    """Inside the block CUDA multiplies float32 as `precision` says: torch by itself lets convolutions use TF32.

    deterministic: only algorithms that repeat their sums bit for bit, where torch has them; it warns of others.
    """
    if not device.startswith("cuda"):
        yield
        return
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32, cudnn.deterministic, cudnn.benchmark
    strict = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn.allow_tf32 = products.allow_tf32 = precision == "tf32"
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
        cudnn.deterministic, cudnn.benchmark = True, False
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])


def device_title(device: str) -> str:
    """The device with its hardware's name."""
    return f"{device} {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device
