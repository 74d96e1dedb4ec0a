"""The check of an interrupted fit: killed in the middle, resumed from its checkpoint, equal to the last bit."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.authoring.conformance.attributes import Kept, kept, on_class, values
from benchmark.authoring.conformance.lab import (
    BITS,
    FEW_UPDATES,
    Broken,
    CheckContext,
    Finding,
    Lab,
    seed_globals,
    signs,
)
from benchmark.contracts import HashData, HashMethod
from benchmark.errors import one_line

#: Updates before the fit is killed, and how many lost things the line names.
KILLED_AFTER, _NAMED = FEW_UPDATES // 2, 5


class _Killed(BaseException):
    """The end of the process, as far as a method can see."""


@dataclass
class _Checkpointed(CheckContext):
    """Stores a training state as the harness does and ends the fit there; with a state given, hands it out."""

    stored: bytes = b""
    resumes: bool = False

    def save(self, step: int, state: Any) -> None:
        """Store the first state in the second half of the updates and end the fit."""
        if not self.resumes and KILLED_AFTER <= step < self.updates:
            content = io.BytesIO()
            torch.save(state(), content)
            self.stored = content.getvalue()
            raise _Killed

    def restore(self) -> dict[str, Any] | None:
        """The state, as the harness reads it. Raises Broken for one that holds more than tensors and numbers."""
        if not self.resumes:
            return None
        try:
            return dict(torch.load(io.BytesIO(self.stored), weights_only=True))
        except Exception as error:
            raise Broken(
                "its training state cannot be read again; give ctx.save tensors, numbers and text in dicts and "
                f"lists ({one_line(error, 120)})"
            ) from error


def resume(lab: Lab) -> Finding:
    """A fit that is killed and resumed from its checkpoint ends as an undisturbed one does, bit for bit."""
    if lab.cls.info.trained_by == "closed-form":
        return Finding("closed-form: nothing to resume")
    data = lab.training_data(BITS)
    whole = lab.fit(data, FEW_UPDATES)
    ends = kept(whole)
    process = copy.deepcopy(on_class(lab.cls))
    killed, stored, _ = _run(lab, data)
    before = kept(killed)
    if not stored:
        return Finding("ctx.save is never called: an interrupted fit starts again")
    for name, value in process.items():  # another process has not seen the first one
        setattr(lab.cls, name, value)
    resumed, _, at_start = _run(lab, data, stored)
    off = _apart(ends, kept(resumed))
    differ = _differ(lab, whole, resumed)
    if off or differ:
        again = lab.fit(data, FEW_UPDATES)
        unsteady = _differ(lab, whole, again)
        off = [name for name in off if name not in _apart(ends, kept(again))]
        # What is lost was other at the resume than at the kill and is still at the end; a cache is not.
        lost = [name for name in off if before.get(name) != at_start.get(name)] if at_start else off
        if lost or (differ and not unsteady):
            raise Broken(_complaint(whole, lost, differ, begun=bool(at_start)))
        if unsteady:
            return Finding("two undisturbed fits differ in their last bits; nothing to compare")
    return Finding(
        f"killed after {KILLED_AFTER} of {FEW_UPDATES} updates: codes and state to the last bit", 2
    )


def _run(lab: Lab, data: HashData, stored: bytes = b"") -> tuple[HashMethod, bytes, Kept]:
    """Train up to the kill, or from `stored` to the end; with the state stored and what the method held when the
    first update began (nothing where it does not announce it).
    """
    method, at_start = lab.fresh(), Kept()
    context = _Checkpointed(**vars(lab.context(data, FEW_UPDATES)), stored=stored, resumes=bool(stored))
    context.at_start = lambda: at_start.update(kept(method))
    seed_globals(context.seed("fit"))
    try:
        method.fit(data, context)
    except _Killed:
        pass
    except Broken:
        raise
    except Exception as error:
        when = "resuming" if stored else "saving its training state"
        raise Broken(f"{when} raised {one_line(error)}") from error
    return method, context.stored, at_start


def _apart(left: Kept, right: Kept) -> list[str]:
    """The names under which two methods hold different things."""
    return [name for name in {**left, **right} if left.get(name) != right.get(name)]


def _differ(lab: Lab, left: HashMethod, right: HashMethod) -> str:
    """How many bits of the test images' codes, and which tensors, two fits disagree on; empty when equal."""
    codes = [signs(lab.encode(method, lab.test_images)) for method in (left, right)]
    bits = int((codes[0] != codes[1]).sum())
    tensors = _apart(values(left.state()), values(right.state()))
    if bits or tensors:
        return f"{bits} of {codes[0].numel()} bits and {len(tensors)} tensors of the state differ"
    return ""


def _complaint(method: HashMethod, lost: list[str], differ: str, *, begun: bool) -> str:
    names = list(dict.fromkeys(name.partition("[")[0] for name in lost))
    kinds = {name: f" ({type(value).__name__})" for name, value in vars(method).items()}
    named = ", ".join(f"{name}{kinds.get(name, '')}" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    if not begun:
        named = f"the global generators (ctx.begin_step is not called), or one of {named or 'none'}"
    return (
        f"state lost at resume: {named or 'nothing that hangs on the method: a global, a closure, a file'}"
        f"{more}; {differ or 'the codes are still equal here'}. Hold it in self.networks, self.optimizers or "
        "self.buffers, or give it to ctx.save"
    )
