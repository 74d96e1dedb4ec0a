"""What a plug-in changes of the process while its code runs is put back: the next fit must not be another one."""

from __future__ import annotations

import contextlib
import gc
import locale
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

#: Environment variables that torch sets for itself when its compiler is imported or used, by no plug-in's doing.
_SET_BY_TORCH = {
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "KMP_DUPLICATE_LIB_OK",
    "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR",
}


class _Part(NamedTuple):
    """One thing that belongs to the whole process. `get` gives its value, `put` sets one."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]


@contextlib.contextmanager
def contained(*, importing: bool = False, leaving: Collection[str] = ()) -> Iterator[list[str]]:
    """Restore the process's state after the code inside, also when it raises.

    importing: the code is a plug-in's module, which may need its entries of the import path later.
    leaving: names of other parts that are not put back.
    Yields a list; afterwards it names what had been changed. What cannot be put back: patched modules, threads and
    processes left running, open files, torch's number of inter-operation threads.
    """
    changed: list[str] = []
    before = list[tuple[_Part, Any]]()
    left = {*leaving, *(["import path"] if importing else [])}
    for part in (one for one in _parts() if one.name not in left):
        with contextlib.suppress(Exception):  # what cannot be read here is left alone
            before.append((part, part.get()))
    try:
        yield changed
    finally:
        for part, value in before:
            with contextlib.suppress(Exception):  # one thing that cannot be put back leaves the others
                if part.get() != value:
                    changed.append(part.name)
                    part.put(value)


def _parts() -> list[_Part]:
    return [
        _Part("working folder", _folder, os.chdir),
        _Part("environment variables", _environment, _put_environment),
        _Part("umask", _umask, os.umask),
        _Part("import path", lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
        _Part("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        _Part("standard output", lambda: (sys.stdout, sys.stderr), _put_streams),
        _Part("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        _Part("logging", _logging, _put_logging),
        _Part(
            "locale", lambda: locale.setlocale(locale.LC_ALL), lambda v: locale.setlocale(locale.LC_ALL, v)
        ),
        _Part("numpy's error handling", np.geterr, lambda value: np.seterr(**value)),
        _Part("numpy's print options", _print_options, lambda value: np.set_printoptions(**dict(value))),
        *_signals(),
        *(_torch_parts() if "torch" in sys.modules else ()),
    ]


def _torch_parts() -> Iterator[_Part]:
    import torch

    yield _Part("torch's default type", torch.get_default_dtype, torch.set_default_dtype)
    yield _Part("torch's default device", torch.get_default_device, _put_device)
    yield _Part("torch's gradients", torch.is_grad_enabled, torch.set_grad_enabled)
    yield _Part("torch's threads", torch.get_num_threads, torch.set_num_threads)
    yield _Part("torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly)
    yield _Part("torch's precision of products", torch.get_float32_matmul_precision, _put_precision)
    yield _Part(
        "torch's deterministic algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    )
    for device in ("cpu", "cuda"):
        yield _Part(f"autocast on {device}", partial(_autocast, device), partial(_put_autocast, device))
    yield _Part("torch's tiny numbers", _denormals, lambda kept: torch.set_flush_denormal(not kept))
    onednn = torch.backends.mkldnn
    yield _Part("oneDNN", partial(getattr, onednn, "enabled"), partial(setattr, onednn, "enabled"))
    for name, hooks in vars(torch.nn.modules.module).items():
        if name.startswith("_global_") and isinstance(hooks, dict):
            yield _Part(f"torch.nn's {name}", partial(dict, hooks), partial(_put_hooks, hooks))
    for name in ("enabled", "benchmark", "deterministic", "allow_tf32"):
        cudnn = torch.backends.cudnn
        yield _Part(f"cuDNN's {name}", partial(getattr, cudnn, name), partial(setattr, cudnn, name))


def _denormals() -> bool:
    """Whether the processor keeps numbers below the smallest normal one."""
    import torch

    return bool((torch.full((1,), 1e-39, dtype=torch.float32, device="cpu") * 1).item() != 0)


def _put_hooks(hooks: dict[Any, Any], value: dict[Any, Any]) -> None:
    hooks.clear()
    hooks.update(value)


def _autocast(device: str) -> tuple[bool, Any]:
    import torch

    return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


def _put_autocast(device: str, value: tuple[bool, Any]) -> None:
    import torch

    torch.set_autocast_enabled(device, value[0])
    torch.set_autocast_dtype(device, value[1])


def _signals() -> Iterator[_Part]:
    """Handlers and timers; only the main thread can set them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGCHLD"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not None:
            handler = partial(signal.getsignal, number)
            yield _Part(f"handler of {name}", handler, partial(signal.signal, number))
    if hasattr(signal, "setitimer"):
        yield _Part("alarm", _alarm_runs, _stop_alarm)


def _alarm_runs() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _stop_alarm(ran_before: bool) -> None:
    if not ran_before:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _umask() -> int:
    value = os.umask(0o77)  # it can only be read by setting it
    os.umask(value)
    return value


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _SET_BY_TORCH}


def _put_environment(value: dict[str, str]) -> None:
    for name in [name for name in _environment() if name not in value]:
        del os.environ[name]
    os.environ.update(value)


def _put_streams(value: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = value


def _logging() -> tuple[int, int, list[logging.Handler]]:
    root = logging.getLogger()
    return root.level, logging.root.manager.disable, list(root.handlers)


def _put_logging(value: tuple[int, int, list[logging.Handler]]) -> None:
    root = logging.getLogger()
    root.setLevel(value[0])
    logging.disable(value[1])
    root.handlers[:] = value[2]


def _print_options() -> list[tuple[str, Any]]:
    return sorted(np.get_printoptions().items())


def _put_device(value: Any) -> None:
    import torch

    torch.set_default_device(None)
    if torch.get_default_device() != value:
        torch.set_default_device(value)


def _put_precision(value: str) -> None:
    import torch

    torch.set_float32_matmul_precision(value)
