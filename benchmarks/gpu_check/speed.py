"""Updates a second of one method, without harness or tracker; with CUDA also kernels, synchronisations, GPU load.

python benchmarks/gpu_check/speed.py METHOD [--backbone compact] [--size 32] [--precision fp32] [--compile] ...

As in a fit, what updates leave on the device is read every few updates; the clock is looked at right after.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from benchmark import registry
from benchmark.contracts import FitContext, HashData, Task
from benchmark.fit import compiled
from benchmark.fit.devices import numerics
from benchmark.fit.randomness import seed_everything


@dataclasses.dataclass
class Timed(FitContext):
    """Reads every `every` updates and keeps the time; profiles the windows that begin at `profiled` updates."""

    every: int = 10
    seconds: float = 3.0
    profiled: tuple[int, ...] = ()
    marks: dict[int, float] = dataclasses.field(default_factory=dict)
    profiles: dict[int, dict[str, float]] = dataclasses.field(default_factory=dict)
    compiled: compiled.Compiled | None = None

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self._profiler: Any = None

    def reads(self, step: int) -> bool:
        return step % self.every == self.every - 1

    def begin_step(self, step: int) -> None:
        if self.compiled is not None:
            self.compiled.begin_step()
        seed_everything(self.seed("step", step))
        if step in self.profiled and self.device.type == "cuda":
            kinds = torch.profiler.ProfilerActivity
            self._profiler = torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA])
            self._profiler.__enter__()

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        if not self.reads(step):
            return
        self.marks[step] = time.perf_counter()
        if len(self.marks) == 1:  # whatever is loaded, tuned or compiled at first does not count
            self.began = self.marks[step]
        if self._profiler is not None:
            torch.cuda.synchronize()
            self._profiler.__exit__(None, None, None)
            self.profiles[step - self.every + 1] = read_profile(self._profiler, self.every)
            self._profiler = None

    def should_stop(self) -> bool:
        return time.perf_counter() - self.began > self.seconds and len(self.marks) > 3

    def milliseconds(self, first: int, last: int) -> float:
        """Median of an update over whole windows between two updates; profiled ones and the next are left out."""
        gaps = []
        for step, moment in self.marks.items():
            begun = step - self.every
            profiled = {begun + 1, begun + 1 - self.every} & {*self.profiles}
            if first <= begun and step < last and not profiled:
                gaps.append(1e3 * (moment - self.marks[begun]) / self.every)
        return statistics.median(gaps) if gaps else float("nan")


def read_profile(profiler: Any, count: int) -> dict[str, float]:
    """Kernels, copies, synchronisations and busy milliseconds, each for one update."""
    found = dict.fromkeys(("kernels", "copies", "syncs", "busy_ms"), 0.0)
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            found["copies" if event.name.startswith(("Memcpy", "Memset")) else "kernels"] += 1 / count
            found["busy_ms"] += event.time_range.elapsed_us() / 1e3 / count
        elif "Synchronize" in event.name:
            found["syncs"] += 1 / count
    return {name: round(value, 2) for name, value in found.items()}


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """Train for a while on random images; a row for each stage of the method."""
    device = torch.device(o.device)
    task = Task(o.bits, 10, 3, o.size, o.size, backbone=o.backbone)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (o.images, 3, o.size, o.size), dtype=torch.uint8, generator=draw)
    labels = torch.eye(10, dtype=torch.uint8)[torch.arange(o.images) % 10]
    data = HashData(
        task, images.to(device), labels.to(device), images[:0].to(device), crop_padding=4, flip=True
    )
    stages = {"update": (o.every, o.updates)}
    if o.method == "hashgan":  # a quarter of its updates are stage 1
        border = round(0.25 * o.updates) // o.every * o.every
        stages = {"stage 1": (0, border), "stage 2": (border + o.every, o.updates)}
    ctx = Timed(
        task,
        device,
        batch_size=o.batch,
        updates=o.updates,
        precision="bf16" if o.precision == "bf16" else "fp32",
        every=o.every,
        seconds=float("inf") if o.method == "hashgan" else o.seconds,
        profiled=tuple(first + 2 * o.every for first, _ in stages.values()),
    )
    method = registry.method_class(o.method)(registry.method_params(o.method, {}))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ctx.compiled = compiled.Compiled(method, device, o.compile)
    begun = time.perf_counter()
    try:
        with numerics(o.precision, o.device):
            method.fit(data, ctx)
    finally:
        ctx.compiled.end()
    found: dict[str, Any] = {"updates": max(ctx.marks, default=-1) + 1}
    if o.compile:
        first = min(ctx.marks.values(), default=begun) - begun
        found |= {"compiled": ctx.compiled.text, "first_window_s": round(first, 1)}
    for name, span in stages.items():
        ms = ctx.milliseconds(*span)
        profile = ctx.profiles.get(span[0] + 2 * o.every, {})
        load = {"gpu_load": round(profile["busy_ms"] / ms, 2)} if profile else {}
        found[name] = {"ms": round(ms, 3), "updates_per_s": round(1e3 / ms, 1), **profile, **load}
    if device.type == "cuda":
        found["peak_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return found


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("method")
    parser.add_argument("--backbone", default="compact")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--compile", action="store_true", help="as `run --compile` does")
    parser.add_argument("--seconds", type=float, default=3.0)
    numbers = {"size": 32, "batch": 64, "bits": 32, "images": 5000, "updates": 100_000, "every": 10}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    print(json.dumps(measure(options())))
