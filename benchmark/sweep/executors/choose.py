"""From `run`'s flags to an executor and the device that its workers use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmark.errors import InputError

if TYPE_CHECKING:
    from benchmark.spec import FitSpec
    from benchmark.spec.suites import RunConfig
    from benchmark.store.store import Store
    from benchmark.sweep.executors import Executor

#: Beside what torch counts a process holds its CUDA context, and torch's cache may hold more than was in use.
CONTEXT_MIB, CACHED = 800.0, 1.25


def choose(config: RunConfig) -> tuple[Executor, str]:
    """The executor and the device. Without `executor`, the other keys say which one is meant.

    Raises InputError for keys that exclude each other, and for a device or an extra that is not there.
    """
    from benchmark.fit.devices import resolve_device
    from benchmark.sweep.executors import LocalProcesses, RayCluster, Serial

    kind = config.executor or _implied(config)
    _refuse_foreign_keys(config, kind)
    limit = config.time_limit
    if kind == "serial":
        return Serial(), resolve_device(config.device)
    if kind == "processes":
        gpus, device = _gpus(config)
        workers = config.workers or (0 if config.executor else max(1, len(config.gpus)))
        if config.gpu_memory is not None and not gpus:
            raise InputError("--gpu-memory says what a fit needs on its GPU, and there is none; name --gpus")
        return LocalProcesses(workers, gpus=gpus, time_limit=limit, gpu_memory=config.gpu_memory), device
    share = 0.0 if config.device == "cpu" else config.gpus_per_fit
    cluster = RayCluster(config.ray_address, config.workers, gpus_per_worker=share, time_limit=limit)
    # The machines of a cluster choose for themselves: the driver's may have no GPU at all.
    return cluster, config.device if config.device in ("auto", "cuda") else resolve_device(config.device)


def learn_gpu_memory(executor: Executor, fits: Iterable[FitSpec], store: Store) -> None:
    """Where several workers share a GPU and nothing was said of its memory: what the same fits needed before."""
    from benchmark.sweep.executors import LocalProcesses

    if not isinstance(executor, LocalProcesses) or executor.gpu_memory is not None:
        return
    if 0 < len(executor.gpus) < executor.workers:
        executor.gpu_memory = _largest({_kind(fit) for fit in fits}, store)


def _largest(wanted: set[tuple[object, ...]], store: Store) -> float | None:
    """MiB of the largest of the records of these kinds, with a CUDA context; None where there are none."""
    from benchmark.store.index import Index

    rows = Index(store).rows() if store.root.is_dir() else []
    alike = [row.fit_id for row in rows if (row.method, row.dataset) in {kind[:2] for kind in wanted}]
    records = (store.by_id(fit_id) for fit_id in alike)
    peaks = [
        one.peak_gpu_memory_mib for one in records if _kind(one.spec) in wanted and one.peak_gpu_memory_mib
    ]
    return max(peaks) * CACHED + CONTEXT_MIB if peaks else None


def _kind(spec: FitSpec) -> tuple[object, ...]:
    """What a fit's memory depends on: fits on frozen features need next to none, larger batches more."""
    return spec.method, spec.dataset, spec.network, spec.batch_size


def _implied(config: RunConfig) -> str:
    if config.ray_address or config.gpus_per_fit is not None:
        return "ray"
    if config.gpus or config.workers > 1:
        return "processes"
    return "serial" if config.time_limit is None else "processes"


def _refuse_foreign_keys(config: RunConfig, kind: str) -> None:
    """Keys that the chosen executor would ignore are mistakes."""
    given = {
        "--workers": (config.workers > 1, ("processes", "ray")),
        "--time-limit": (config.time_limit is not None, ("processes", "ray")),
        "--gpus": (bool(config.gpus), ("processes",)),
        "--gpu-memory": (config.gpu_memory is not None, ("processes",)),
        "--gpus-per-fit": (config.gpus_per_fit is not None, ("ray",)),
        "--ray-address": (bool(config.ray_address), ("ray",)),
    }
    for flag, (is_given, meant) in given.items():
        if is_given and kind not in meant:
            raise InputError(f"{flag} is for --executor {' or '.join(meant)}, not for {kind}")


def _gpus(config: RunConfig) -> tuple[tuple[int, ...], str]:
    """The GPUs that worker processes share, and the device as a worker sees it: its own GPU only."""
    import torch

    from benchmark.fit.devices import resolve_device

    if not config.gpus:
        device = resolve_device(config.device)
        everything = config.device in ("auto", "cuda") and device.startswith("cuda")
        return (tuple(range(torch.cuda.device_count())), "cuda") if everything else ((), device)
    if config.device not in ("auto", "cuda"):
        raise InputError(f"--gpus names the devices; leave --device {config.device} out")
    for gpu in config.gpus:
        resolve_device(f"cuda:{gpu}")  # refused when it is not there
    return config.gpus, "cuda"
