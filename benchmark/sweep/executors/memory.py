"""How much memory is left, and how much a process has used. Linux tells; elsewhere the answer is None."""

from __future__ import annotations

import subprocess
from pathlib import Path


def available_mib() -> float | None:
    """Memory that can be taken now: the machine's, or the control group's where that is less."""
    found = [value for value in (_machine_mib(), _group_mib()) if value is not None]
    return min(found) if found else None


def peak_mib(pid: int) -> float | None:
    """Peak resident memory of a process."""
    return _field(Path(f"/proc/{pid}/status"), "VmHWM:")


def gpu_free_mib(gpu: str) -> float | None:
    """Free memory of a GPU, by its number or UUID; None where nvidia-smi cannot say. Opens no context on it."""
    words = ["nvidia-smi", "-i", gpu, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
        return float(done.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _machine_mib() -> float | None:
    return _field(Path("/proc/meminfo"), "MemAvailable:")


def _group_mib() -> float | None:
    folder = Path("/sys/fs/cgroup")  # a container's own group, under version 2
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
        cached = 0
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):  # page cache, given back when memory is short
                cached = int(line.split()[1])
        return None if limit == "max" else (int(limit) - used + cached) / 2**20
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> float | None:
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
