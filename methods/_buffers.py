"""Pairs against the whole training set: the buffers of DPSH and its descendants, or the batch alone.

A whole-set method keeps the last output of every training image and pairs each image of the batch with all of
them. Four consequences, stated once here. (1) Gradients flow through the batch side only. (2) Rows are stale
by up to one epoch. (3) Labels are known from the start, outputs are not: rows that no batch has visited yet
are masked out, where public re-implementations count them as dissimilar zeros. (4) Buffers belong to the
training state: they are saved and restored with it, or a resumed fit would restart them at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmark.contracts import HashData
from methods._pairs import off_diagonal, similarity
from methods._stepwise import Batch, StepwiseMethod, StepwiseParams

PairChoice = Literal["set", "batch"]


@dataclass(frozen=True)
class Partners:
    """What the batch is paired with.

    outputs: float (m, bits). labels: float32 (m, classes). mask: float32 (b, m), 1 for pairs that count; an
    image is never paired with itself. similar: float32 (b, m), 1 where the two share a label.
    """

    outputs: Tensor
    labels: Tensor
    mask: Tensor
    similar: Tensor


class PairwiseParams(StepwiseParams):
    """`pairs`: `set` pairs the batch with the stored outputs of the whole training set, `batch` with itself."""

    pairs: PairChoice = "batch"


class PairwiseMethod(StepwiseMethod):
    """Base of pairwise methods: `partners` gives the pairs that `params.pairs` asks for."""

    Params = PairwiseParams
    params: PairwiseParams
    set_labels: Tensor

    def begin(self, data: HashData) -> None:
        """Allocate the whole-set buffers where they are used."""
        if self.params.pairs == "set":
            allocate(self, data)

    def partners(self, outputs: Tensor, batch: Batch) -> Partners:
        """Pair the batch; in `set` mode, first store its outputs."""
        if self.params.pairs == "batch":
            mask = off_diagonal(len(outputs), outputs.device)
            return Partners(outputs, batch.labels, mask, similarity(batch.labels))
        store(self, outputs, batch)
        seen = self.buffers["seen"].float()
        mask = seen.expand(len(outputs), -1).clone()
        mask[torch.arange(len(outputs), device=mask.device), batch.index] = 0
        similar = similarity(batch.labels, self.set_labels)
        return Partners(self.buffers["outputs"], self.set_labels, mask, similar)


def allocate(method: StepwiseMethod, data: HashData) -> None:
    """Give `method` empty whole-set buffers `outputs` (n, bits) and `seen` (n,), and `set_labels`."""
    n, device = len(data.labels), data.labels.device
    method.buffers["outputs"] = torch.zeros(n, data.task.bits, device=device)
    method.buffers["seen"] = torch.zeros(n, dtype=torch.bool, device=device)
    method.set_labels = data.labels.float()  # type: ignore[attr-defined]


def store(method: StepwiseMethod, outputs: Tensor, batch: Batch) -> None:
    """Overwrite the batch's rows of the whole-set buffers with its detached outputs."""
    method.buffers["outputs"][batch.index] = outputs.detach().to(method.buffers["outputs"])
    method.buffers["seen"][batch.index] = True
