"""The networks of a running fit, compiled by torch for its updates where the run asks for it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmark.registry.contained import contained

#: What turns a graph into code, of those that torch knows by name.
BACKEND = "inductor"
#: Ways in which one network may be called (sizes, with and without gradients) before it counts as one that changes.
WAYS = 8

Graph = Callable[..., Any]


class Compiled:
    """Compiles, before each update, what the method's `networks` holds and was not compiled yet.

    Called networks are compiled as a whole, and so are their direct parts where a method calls these, each in one
    graph for each size of a batch; on CUDA the graphs are captured. Nothing but speed and rounding changes:
    names of tensors stay, random numbers are drawn as without, and what is outside of updates runs as it is.
    Whatever torch cannot compile raises in the update. begun: whether anything was handed to the compiler. used:
    names of what was compiled. earlier: the text of the fit's run that this one continues.
    """

    def __init__(self, method: object, device: torch.device, wanted: bool) -> None:
        self._method, self._device, self._wanted = method, device, wanted
        self._graphs, self._skipped = device.type == "cuda", 0
        self._parts: dict[nn.Module, str] = {}
        self.used = dict[str, None]()
        self._stack = contextlib.ExitStack()
        self.begun = False
        self.earlier: str | None = None

    @property
    def text(self) -> str:
        """What was compiled, and by what; `no: ...` where that was asked for and did not come about; or nothing."""
        now = ""
        if self.used:
            captured = self._graphs and BACKEND == "inductor" and _skips() == self._skipped
            graphs = " with CUDA graphs" if captured else ""
            now = f"{BACKEND}{graphs}: {', '.join(self.used)}"
        elif self._wanted:
            now = "no: its updates call no network of its own"
        return now if self.earlier in (None, now) else f"at first {self.earlier or 'no'}; then {now or 'no'}"

    def begin_step(self) -> None:
        """Compile what is new; before each update."""
        networks = getattr(self._method, "networks", None)
        if not self._wanted or not isinstance(networks, nn.ModuleDict):
            return
        for name, network in networks.items():
            for part, title in _parts(network, name):
                if part not in self._parts and "_compiled_call_impl" not in vars(part):
                    self._compile(part, title)
        if self._graphs:  # what the update before left in the memory of its graphs is used up
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def _compile(self, part: nn.Module, title: str) -> None:
        from torch._dynamo import config

        if not self._parts:
            self.begun, self._skipped = True, _skips()
            torch.compiler.reset()  # fits before this one in the process count towards no limit
            # The compiler raises it, and may be called in a backward pass too.
            self._stack.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        self._parts[part] = title
        limits = {"recompile_limit": WAYS * len(self._parts)}  # parts may share the code that is counted
        self._stack.enter_context(config.patch(limits))
        part.compile(backend=self._counting(title), fullgraph=True, dynamic=False)

    def _counting(self, title: str) -> Graph:
        """A backend that keeps the name of what it has compiled."""
        options = {"triton.cudagraphs": self._graphs, "fallback_random": True}

        def backend(graph: Any, inputs: Any) -> Any:
            from torch._dynamo import lookup_backend

            how = {"config_patches": options} if BACKEND == "inductor" else {}
            with contained():  # a compiler sets variables, paths and limits of the process
                made = lookup_backend(BACKEND)(graph, inputs, **how)
            self.used[title] = None
            return made

        return backend

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Networks run as they are inside the block."""
        with torch.compiler.set_stance("force_eager") if self._parts else contextlib.nullcontext():
            yield

    def end(self) -> None:
        """Give the networks back as they were, and what compiled code holds of the device."""
        if self._parts:
            self._stack.close()
            for part in self._parts:
                part.__dict__.pop("_compiled_call_impl", None)  # where `Module.compile` keeps it
            torch.compiler.reset()
        self._parts = {}


def _skips() -> int:
    """How many graphs torch did not capture though it was asked to."""
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["cudagraph_skips"])


def _parts(network: nn.Module, name: str) -> Iterator[tuple[nn.Module, str]]:
    """A network and those of its direct parts in which there is more than one layer."""
    yield network, name
    for child, part in network.named_children():
        if sum(1 for layer in part.modules() if not [*layer.children()]) > 1:
            yield part, f"{name}.{child}"
