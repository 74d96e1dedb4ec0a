"""Where a fit ran: versions, commit, hardware. Collected once per process."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

import benchmark
from benchmark.store.record import Environment

_PACKAGES = ("torch", "torchvision", "numpy", "numba", "scikit-learn", "timm", "mlflow", "coophash-benchmark")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(
    device: str, precision: str, threads: int, deterministic: bool = False, compiled: str = ""
) -> Environment:
    """The environment of this process for a fit on `device` with `precision` and `threads` CPU threads.

    deterministic: asked of a GPU's libraries; on other devices it is nothing to record. compiled: as recorded.
    """
    commit, dirty, dirty_digest = _commit()
    return Environment(
        versions=_versions() | (_gpu_versions() if device.startswith("cuda") else {}),
        commit=commit,
        dirty=dirty,
        dirty_digest=dirty_digest,
        platform=platform.platform(),
        cpu=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=threads,
        device=device,
        precision=precision,
        deterministic=deterministic and device.startswith("cuda"),
        compiled=compiled,
        memory_gib=_memory_gib(),
    )


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _gpu_versions() -> dict[str, str]:
    return {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]


@functools.cache
def _commit() -> tuple[str, bool | None, str]:
    """(commit, whether tracked files differ from it, digest of the difference); unknown outside a checkout."""
    folder = Path(benchmark.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return "unknown", None, ""
    try:
        commit = _git(folder, "rev-parse", "HEAD").decode().strip()
        difference = _git(folder, "diff", "HEAD", "--", "benchmark", "methods", "datasets")
        extra = _git(folder, "status", "--porcelain", "--", "benchmark", "methods", "datasets")
    except (OSError, subprocess.SubprocessError):
        return "unknown", None, ""
    if not extra:
        return commit, False, ""
    return commit, True, hashlib.sha256(difference + extra).hexdigest()[:16]


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, timeout=20
    ).stdout


@functools.cache
def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return 0.0


def reset_peak_memory() -> None:
    """Start a new peak of resident memory where the system allows it (Linux); elsewhere it is the process's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mib() -> float:
    """Peak resident memory in MiB since `reset_peak_memory`, or of the process."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (2**20 if sys.platform == "darwin" else 1024), 1)
    except ImportError:
        return 0.0
