"""Pairs against the whole training set: the buffers of DPSH and its descendants, or the batch alone.

A whole-set method keeps the last output of every training image and pairs each image of the batch with all of
them. Four consequences, stated once here. (1) Gradients flow through the batch side only. (2) Rows are stale
by up to one epoch: harmless at the learning rates of fine-tuning (1e-5), unstable at those of training from
nothing, where the whole batch moves away from where the stored outputs were. Hence `pairs` `auto`. (3) Labels
are known from the start, outputs are not: rows that no batch has visited yet are masked out, where public
re-implementations count them as dissimilar zeros. (4) Buffers belong to the training state: they are saved and
restored with it, or a resumed fit would restart them at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmark.contracts import HashData
from benchmark.methods._pairs import off_diagonal, similarity
from benchmark.methods._stepwise import Batch, StepwiseMethod, StepwiseParams

PairChoice = Literal["auto", "set", "batch"]


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
    """`pairs`: `set` pairs the batch with the stored outputs of the whole training set, `batch` with itself;
    `auto` takes `set` with the paper's optimiser and `batch` with the one for training from nothing.
    """

    pairs: PairChoice = "batch"


class PairwiseMethod(StepwiseMethod):
    """Base of pairwise methods: `partners` gives the pairs that `params.pairs` asks for."""

    Params = PairwiseParams
    params: PairwiseParams
    set_labels: Tensor

    def begin(self, data: HashData) -> None:
        """Allocate the whole-set buffers where they are used."""
        if self.whole_set:
            allocate(self, data)

    @property
    def whole_set(self) -> bool:
        """Whether pairs run over the whole training set."""
        chosen = self.params.pairs
        return chosen == "set" or (chosen == "auto" and self.follows_paper)

    def partners(self, outputs: Tensor, batch: Batch) -> Partners:
        """Pair the batch; where there are buffers, first store its outputs."""
        if "outputs" in self.buffers:
            store(self, outputs, batch)
        if not self.whole_set:
            mask = off_diagonal(len(outputs), outputs.device)
            return Partners(outputs, batch.labels, mask, similarity(batch.labels))
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
