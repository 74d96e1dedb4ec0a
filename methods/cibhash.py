"""CIBHash: unsupervised hashing with contrastive information bottleneck (Qiu et al.; IJCAI 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from benchmark.contracts import MethodInfo, Task
from benchmark.methods._heads import HiddenHashNetwork
from benchmark.methods._pairs import cosine
from benchmark.methods._quantisers import straight_bernoulli
from benchmark.methods._stepwise import Batch, Recipe, StepwiseParams
from benchmark.methods._unsupervised import UnsupervisedMethod
from benchmark.methods._views import random_views


class CIBHashParams(StepwiseParams):
    """temperature of the contrastive loss; beta: weight of the bottleneck; `hidden`: width of the layer between
    the features and the hash layer (0: none). `crop` (least side of a view) and
    `jitter` define the views: contrast needs them also where the benchmark's augmentation is none.
    """

    temperature: float = Field(default=0.3, gt=0)
    beta: float = Field(default=1e-3, ge=0)
    hidden: int = Field(default=1024, ge=0)
    crop: float = Field(default=0.6, gt=0, le=1)
    jitter: float = Field(default=0.2, ge=0, le=1)


class CIBHash(UnsupervisedMethod):
    """Contrast of Bernoulli codes of two views plus beta times the divergence between their probabilities.

    Encoder and bottleneck are the release's: a linear layer of 1,024, a rectifier and the hash layer on the
    backbone's features; (KL(p_1 | sg p_2) + KL(p_2 | sg p_1)) / 2, summed over bits, where sg stops the gradient.
    Codes are the paper's, drawn from sigma(u) with straight-through gradients (the release takes signs);
    similarity is the cosine over the temperature, every other view of the batch is a negative. Two views of each
    image cost two forward passes.
    """

    info = MethodInfo(
        name="cibhash",
        title="CIBHash",
        paper="Unsupervised Hashing with Contrastive Information Bottleneck",
        year=2021,
        venue="IJCAI",
        version=2,
        labels=("single", "multi"),
        supervision="unsupervised",
        look=("orange", "v", "dashdot"),
    )
    Params = CIBHashParams
    params: CIBHashParams
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-3, backbone_factor=0.0)

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Refuse vectors, which have no crops or colours to change."""
        return (
            None if task.inputs == "images" else "its two views change pixels, which feature vectors have not"
        )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The encoder: backbone, hidden layer and hash layer; a head that the run asks for stands in its place."""
        if self.params.hidden and not task.head:
            return {"hash": HiddenHashNetwork(task, (self.params.hidden,))}
        return super().build(task)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One update on two views of the batch."""
        generator = self.ctx.generator("views", batch.step)
        views = torch.cat([self._view(batch.images, generator) for _ in range(2)])
        with self.ctx.autocast():
            outputs = self.networks["hash"](self._place(views))
        losses = self.loss(outputs.float(), batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimize("main", total)
        return {"loss": total, **losses}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Both terms; `outputs` (2b, bits) holds the first views, then the second."""
        noise = self.ctx.device_generator("bits", batch.step)
        draw = torch.rand(outputs.shape, generator=noise, device=outputs.device)
        codes = 2 * straight_bernoulli(torch.sigmoid(outputs), draw) - 1
        first, second = outputs.chunk(2)
        return {
            "contrast": contrast(codes, self.params.temperature),
            "bottleneck": self.params.beta * mutual_divergence(first, second).sum(dim=1).mean(),
        }

    def _view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return random_views(images, self.params.crop, self.params.jitter, generator)


def contrast(codes: Tensor, temperature: float) -> Tensor:
    """NT-Xent: cross-entropy of each view's partner among all other views; codes (2b, K)."""
    count = len(codes)
    logits = cosine(codes, codes) / temperature
    logits = logits.masked_fill(torch.eye(count, dtype=torch.bool, device=codes.device), float("-inf"))
    partner = torch.arange(count, device=codes.device).roll(count // 2)
    return torch.nn.functional.cross_entropy(logits, partner)


def mutual_divergence(left: Tensor, right: Tensor) -> Tensor:
    """(KL(p | sg q) + KL(q | sg p)) / 2 per bit for p = sigma(left), q = sigma(right).

    Its value is (p - q) (left - right) / 2; each side is drawn to the other as if that stood still.
    """
    return (_divergence(left, right.detach()) + _divergence(right, left.detach())) / 2


def _divergence(left: Tensor, right: Tensor) -> Tensor:
    """KL(Bernoulli(sigma(left)) | Bernoulli(sigma(right))): p (l - r) + log(1 - p) - log(1 - q)."""
    return torch.sigmoid(left) * (left - right) + logsigmoid(-left) - logsigmoid(-right)
