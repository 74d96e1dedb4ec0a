"""CoopHash on feature vectors: its losses and its update, with small fully connected networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from sklearn.linear_model import RidgeClassifier
from torch import Tensor, nn

from benchmark.contracts import Ability, HashData, MethodInfo, Task, Variant
from benchmark.methods._generated import density_and_coverage, diversity
from benchmark.methods._images import to_float
from benchmark.methods._stepwise import Batch
from benchmark.methods._vector_networks import VectorDescriptor, VectorGenerator, warm_start
from benchmark.methods.coophash import CoopHash, CoopHashParams
from benchmark.methods.coophash.pairs import Hidden, Pair
from benchmark.methods.coophash.sampler import LangevinSettings
from benchmark.methods.coophash.variants import VARIANTS

#: Vectors generated for the facts of a record: so many in all, and so many label sets at most.
SAMPLES, SETS = 1000, 50

#: CoopHash's variants that there are on vectors, and how reports draw them.
LOOKS: dict[str, Any] = {
    "class": ("black", "v", "dotted"),
    "tr": ("vermillion", "s", "densely dotted"),
    "nll": ("black", "s", "solid"),
    "vae": ("green", "D", "densely dashed"),
    "gan": ("sky blue", "^", "solid"),
    "hash-only": ("vermillion", "v", "solid"),
}


class CoopHashVectorsParams(CoopHashParams):
    """CoopHash's, with defaults for vectors (`docs/coophash.md`); `generator_width` has no meaning here."""

    later = CoopHashParams.later | {"posterior_pixels", "posterior_label", "density_class"}

    hidden: int = Field(default=128, ge=4, le=4096, description="width of each network's hidden layers")
    weight_nll: float = Field(default=0.05, ge=0, le=100, description="L_NLL, the density head")
    density_class: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="inside L_NLL, weight of the cross-entropy of the label posterior that f implies; not stated",
    )
    langevin_clip: float | None = Field(default=1.0, gt=0, description="bound on each pixel's gradient")
    reconstruction_std: float = Field(default=0.3, gt=0, le=10, description="sigma of L_VAE")
    posterior_pixels: bool = Field(default=False, description="of CoopHash on images alone")
    posterior_label: bool = Field(default=False, description="of CoopHash on images alone")
    negatives: Literal["drawn", "data"] = Field(
        default="drawn",
        description="labels of the negative phase: as pairs are drawn, or weighted so that they are the data's",
    )
    label_loss: Literal["mean", "sum"] = Field(
        default="sum", description="L_CLASS of label sets: mean or sum over labels"
    )
    weight_vae_real: float = Field(
        default=1.0, ge=0, le=100, description="L_VAE on real vectors, beside the pair; needs weight_vae"
    )
    warm_start: bool = Field(
        default=True, description="generator and posterior encoder start at probabilistic PCA within classes"
    )
    density_noise: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="deviation of noise on real vectors and the pair, in every variant",
    )
    langevin_steps: int = Field(default=5, ge=0, le=1000, description="T")
    langevin_step: float = Field(default=0.3, gt=0, description="delta^2 / 2, the factor on the gradient")
    langevin_noise: float | None = Field(default=0.05, ge=0, description="null: delta, tied to the step")
    latent: int = Field(default=160, ge=1, le=1024, description="d, the dimension of z")
    pairs: int | None = Field(
        default=8, ge=1, description="contrastive pairs per update; null: one per image"
    )

    @model_validator(mode="after")
    def _has_no_pixels(self) -> Self:
        if self.posterior_pixels or self.posterior_label:
            raise ValueError(
                "posterior_pixels and posterior_label are CoopHash's on images: vectors have neither"
            )
        return self

    def langevin(self) -> LangevinSettings:
        """The sampler's settings; standardised features have no bounds."""
        return replace(super().langevin(), clamp=False)


class CoopHashVectors(CoopHash):
    """CoopHash where x is a feature vector: descriptor, posterior encoder and generator are small MLPs.

    The update, its losses and where gradients go are CoopHash's. Langevin dynamics moves vectors in units of
    the training vectors' deviation, without bounds. Beside L_VAE of the revised pair, the posterior encoder and
    the generator learn L_VAE of the real batch (`weight_vae_real`; chosen here). The record's facts say how much
    generated vectors differ and whether they are of the asked class.
    """

    info = MethodInfo(
        **{
            **CoopHash.info.model_dump(),
            "name": "coophash-vectors",
            "title": "CoopHash on vectors",
            "version": 2,
            "notes": "fully connected networks on feature vectors: no variant of the paper's",
            "look": ("blue", "o", "dashdot"),
        }
    )
    Params = CoopHashVectorsParams
    params: CoopHashVectorsParams
    variants = tuple(
        Variant(
            name=one.name.replace("coophash", "coophash-vectors"),
            title=f"{one.title}, vectors",
            params=one.params,
            note=one.note.replace("base network", "fully connected base"),
            look=LOOKS[one.name.removeprefix("coophash-")],
        )
        for one in VARIANTS
        if one.name.removeprefix("coophash-") in LOOKS
    )

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Refuse images, and a single class: a contrastive pair needs two."""
        if task.inputs != "vectors":
            return "it learns from feature vectors: give it some, or --frozen; `coophash` takes images"
        if task.head == "linear":
            return "its networks have hidden layers: --head mlp:N sets their width, linear leaves none"
        return None if task.classes > 1 else "a contrastive pair needs at least two classes"

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The descriptor as `hash`, the generator; with averaging, the trained `descriptor` apart."""
        p = self.params
        width = int(task.head.partition(":")[2] or p.hidden)
        networks: dict[str, nn.Module] = {"hash": VectorDescriptor(task, p, width)}
        if p.ema > 0:
            networks["descriptor"] = VectorDescriptor(task, p, width)
            networks["hash"].requires_grad_(False)
        if p.makes_images:
            networks["generator"] = VectorGenerator(task, p.latent, p.hidden)
        return networks

    def begin(self, data: HashData) -> None:
        """As CoopHash; the training vectors are what the facts are measured on."""
        super().begin(data)
        self._training, self._measured = data, dict[str, str | int | float]()

    def _calibrate(self, data: HashData) -> None:
        descriptor = cast(VectorDescriptor, self.networks["hash"])
        descriptor.fit_scale(data.images)
        super()._calibrate(data)
        if self.params.warm_start and self.params.makes_images:
            warm_start(
                self._standardised(data.images.to(self.ctx.device)),
                data.labels.to(self.ctx.device, torch.float32),
                self.params.reconstruction_std,
                cast(VectorGenerator, self.networks["generator"]),
                descriptor,
            )

    def _channels_last(self) -> bool:
        return False

    def augmented(self, data: HashData, images: Tensor, purpose: str, step: int) -> Tensor:
        """Standardised vectors; there is nothing to augment."""
        return self._standardised(super().augmented(data, images, purpose, step))

    def _standardised(self, vectors: Tensor) -> Tensor:
        return cast(VectorDescriptor, self.networks["hash"]).standardise(to_float(vectors))

    # ---- one update --------------------------------------------------------------------------------

    def _features(self, batch: Batch, pair: Pair | None, unseen: Hidden | None) -> tuple[Tensor, ...]:
        """As in CoopHash, with `density_noise` where there is no density too: it alone makes better codes, and
        twins without it would be no control."""
        noisy, noisy_pair, noise = batch, pair, self.params.density_noise
        if noise and not self.params.weight_nll:
            draw = self.ctx.device_generator("density-noise", batch.step)
            noisy = replace(batch, images=_noisy(batch.images, noise, draw))
            noisy_pair = pair and replace(pair, images=_noisy(pair.images, noise, draw))
        return super()._features(noisy, noisy_pair, unseen)

    # ---- what the harness asks of a trained model ------------------------------------------------

    def abilities(self) -> frozenset[Ability]:
        """CoopHash's, without generation: what looks at generated images has nothing to see in vectors."""
        return super().abilities() - {"generation", "revision", "density"}

    def class_logits(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of the class head, for vectors (n, d) as the data set has them."""
        return super().class_logits(self._standardised(images))

    def sample(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Vectors (n, d) for labels (n, classes) before and after MCMC, as the data set has them."""
        scale = cast(VectorDescriptor, self.networks["hash"])
        before, after = (made * scale.deviation + scale.mean for made in self._sample(labels, generator))
        return before, after

    def _sample(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Standardised vectors before and after MCMC."""
        self.networks.eval()
        labels = labels.to(self.ctx.device, torch.float32)
        latent = torch.randn(len(labels), self.params.latent, generator=generator).to(self.ctx.device)
        with torch.no_grad(), self.ctx.autocast():
            before = self.generator(latent, labels).float()
        if not self.params.revises:
            return before, before
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return before, self.revise(before, labels, torch.Generator(self.ctx.device).manual_seed(seed)).images

    def facts(self) -> dict[str, str | int | float]:
        """CoopHash's; measures of generation where this instance was trained and has a generator."""
        if self.params.makes_images and hasattr(self, "_training") and not self._measured:
            self._measured = self._measure(self._training)
        return {**super().facts(), **getattr(self, "_measured", {})}

    def _measure(self, data: HashData) -> dict[str, str | int | float]:
        """How vectors are generated, before and after MCMC, in standardised units.

        Diversity, density and coverage (`methods/_generated.py`) for each of the most frequent label sets, against
        as many training vectors, its first ones; then the mean over label sets where there are such
        numbers. Where items have one class, the share of vectors that a linear classifier of all training vectors
        gives the asked one. `energy_gap`: the mean f of made vectors less that of real ones. What the chain did:
        the share of vectors whose f it raised, and the root of the mean squared move of a dimension.
        """
        real, labels = (
            self._standardised(data.images.to(self.ctx.device)),
            data.labels.to(self.ctx.device).float(),
        )
        rows, place, counts = torch.unique(labels, dim=0, return_inverse=True, return_counts=True)
        sets = counts.argsort(descending=True, stable=True)[:SETS]
        each = max(2, SAMPLES // len(sets))
        asked = rows[sets].repeat_interleave(each, 0)
        known = [real[place == k] for k in sets]
        made = dict(zip(("before", "after"), self._sample(asked, self.ctx.generator("facts")), strict=True))
        found: dict[str, float | None] = {}
        for name, vectors in made.items():
            parts = list(zip(known, vectors.split(each), strict=True))
            # As many made as real: more of them would cover more.
            balls = [density_and_coverage(one[:each], part[: len(one)]) for one, part in parts]
            found |= {
                f"diversity_{name}_mcmc": _mean([diversity(one, part) for one, part in parts]),
                f"density_{name}_mcmc": _mean([None if pair is None else pair[0] for pair in balls]),
                f"coverage_{name}_mcmc": _mean([None if pair is None else pair[1] for pair in balls]),
            }
        if not data.task.multi_label:
            # As many units of ridge as dimensions: tight with few vectors, and loose with many.
            linear = RidgeClassifier(alpha=real.shape[1]).fit(
                real.cpu().numpy(), data.class_ids.cpu().numpy()
            )
            for name, vectors in made.items():
                said = torch.from_numpy(linear.predict(vectors.cpu().numpy()))
                found[f"asked_class_{name}_mcmc"] = (said == asked.argmax(1).cpu()).double().mean().item()
        if self.params.revises:
            own = torch.cat([rows[k].expand(len(one[:each]), -1) for k, one in zip(sets, known, strict=True)])
            found |= self._chain(torch.cat([one[:each] for one in known]), own, made, asked)
        return {name: round(value, 4) for name, value in found.items() if value is not None}

    @torch.no_grad()
    def _chain(
        self, real: Tensor, own: Tensor, made: dict[str, Tensor], asked: Tensor
    ) -> dict[str, float | None]:
        """What the chain did to made vectors, labelled `asked`; real vectors have the labels `own`."""
        f_real = self._log_density(own, real)
        f = {name: self._log_density(asked, vectors) for name, vectors in made.items()}
        found: dict[str, float | None] = {
            f"energy_gap_{name}_mcmc": float(f[name].mean() - f_real.mean()) for name in made
        }
        found["chain_raises_f"] = float((f["after"] > f["before"]).float().mean())
        found["chain_distance"] = float((made["after"] - made["before"]).square().mean().sqrt())
        return found


def _noisy(vectors: Tensor, deviation: float, draw: torch.Generator) -> Tensor:
    return vectors + deviation * torch.randn(vectors.shape, generator=draw, device=vectors.device)


def _mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
