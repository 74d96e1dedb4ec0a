"""CoopHash: the training step, and the method as the harness sees it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from benchmark.contracts import HashData, MethodInfo, Task, Variant
from methods._images import to_float
from methods._stepwise import Batch, Recipe, StepwiseMethod, parameters_of
from methods.coophash import losses
from methods.coophash.networks import Descriptor, FixedProjection, Generator
from methods.coophash.pairs import LabelPool, Pair
from methods.coophash.params import CoopHashParams
from methods.coophash.sampler import Chain, frozen, langevin

Terms = dict[str, Tensor]

VARIANTS = (
    Variant(
        name="coophash-class",
        title="CoopHash - L_CLASS",
        params={"weight_class": 0.0},
        note="no class head",
    ),
    Variant(
        name="coophash-tr",
        title="CoopHash - L_TR",
        params={"weight_tr": 0.0},
        note="no trained hash head: signs of a fixed orthonormal projection of the centred base features",
    ),
    Variant(
        name="coophash-nll",
        title="CoopHash - L_NLL",
        params={"weight_nll": 0.0},
        note="no density, so no MCMC: the pair is the generator's output, L_VAE learns from the real batch",
    ),
    Variant(
        name="coophash-vae",
        title="CoopHash - L_VAE",
        params={"weight_vae": 0.0},
        note="no inference head: the generator regresses the revised pair from the z that began it",
    ),
    Variant(
        name="coophash-gan",
        title="GAN-based counterpart",
        params={"density": "discriminator", "weight_vae": 0.0},
        note="a real/fake discriminator for the density head, no MCMC, adversarial generator loss",
    ),
    Variant(
        name="coophash-hash-only",
        title="Baseline: hashing only",
        params={"weight_nll": 0.0, "weight_vae": 0.0, "weight_class": 0.0},
        note="the same base network, L_TR on real images alone",
    ),
    Variant(
        name="coophash-class-only",
        title="Baseline: classification only",
        params={"weight_nll": 0.0, "weight_vae": 0.0, "weight_tr": 0.0},
        note="the same base network; codes are signs of a fixed projection of its features",
    ),
    Variant(
        name="coophash-generation-only",
        title="Baseline: generation only",
        params={"weight_class": 0.0, "weight_tr": 0.0},
        note="the same base network and generator; codes are signs of a fixed projection of its features",
    ),
)


class CoopHash(StepwiseMethod):
    """Cooperative learning of a multipurpose descriptor and a contrastive pair generator.

    One update: (1) z and c- are drawn, the generator makes x^+ = G(z, c+) and x^- = G(z, c-); (2) Langevin
    dynamics under the density head revises both; (3) one pass of the descriptor over the real batch and the
    revised pair gives every loss; (4) one backward pass moves descriptor and generator together.

    Where gradients go: the revised pair is data, without a graph, so the sampler teaches the generator only
    through L_VAE; of all losses L_VAE alone reaches the generator (in the GAN counterpart: the adversarial
    loss alone, through a frozen descriptor); L_VAE reaches the inference head and the base through the
    reparameterised z; the base receives the sum of every head's gradient.

    What the paper's summary states and what was reconstructed is told apart in `docs/coophash.md`.
    """

    info = MethodInfo(
        name="coophash",
        title="CoopHash",
        paper="CoopHash: Cooperative Learning of Multipurpose Descriptor and Contrastive Pair Generator via "
        "Variational MCMC Teaching for Supervised Image Hashing",
        year=2022,
        venue="arXiv",
        version=1,
        labels=("single", "multi"),
        supervision="generative",
        notes="hyper-parameters chosen here: the public summary states none",
    )
    Params = CoopHashParams
    params: CoopHashParams
    variants = VARIANTS
    #: For pre-trained backbones; chosen here, since the summary states no optimiser.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-4, backbone_factor=0.1, schedule="cosine")

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Refuse a task with one class: a contrastive pair needs two."""
        return None if task.classes > 1 else "a contrastive pair needs at least two classes"

    # ---- set-up ------------------------------------------------------------------------------

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The descriptor as `hash`, the generator; with averaging, the trained `descriptor` apart."""
        p = self.params
        descriptor = Descriptor(
            task,
            hashing=p.weight_tr > 0,
            density=p.weight_nll > 0,
            discrimination=p.weight_class > 0,
            latent=p.latent if p.weight_vae > 0 else 0,
            spectral=p.spectral_norm,
        )
        networks: dict[str, nn.Module] = {"hash": descriptor}
        if p.ema > 0:
            networks = {"hash": copy.deepcopy(descriptor).requires_grad_(False), "descriptor": descriptor}
        if p.makes_images:
            networks["generator"] = Generator(task, p.latent, p.generator_width)
        return networks

    def begin(self, data: HashData) -> None:
        """Learn which label sets occur; keep the images whose labels are hidden, if they are to be used."""
        self.pool = LabelPool(data.labels)
        self.unlabelled: HashData | None = None
        wanted = self.params.unlabelled != "ignore" and self.params.makes_images
        if wanted and len(data.unlabelled):
            self.unlabelled = data

    @property
    def descriptor(self) -> Descriptor:
        """The network that is trained; `encode` runs it too, unless weights are averaged."""
        return cast(Descriptor, self.networks["descriptor" if self.params.ema > 0 else "hash"])

    @property
    def generator(self) -> Generator:
        """The contrastive pair generator."""
        return cast(Generator, self.networks["generator"])

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network, by the recipe in force, with this method's first-moment decay."""
        optimizers = {"descriptor": self.make_optimizer(self.descriptor)}
        if self.params.makes_images:
            rate = self.params.generator_lr
            changes = {} if rate is None else {"lr": rate}
            optimizers["generator"] = self.make_optimizer(self.generator, **changes)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["betas"] = (self.params.beta1, 0.999)
        return optimizers

    # ---- one update --------------------------------------------------------------------------

    def step(self, batch: Batch) -> dict[str, float]:
        """One update of descriptor and generator; returns the scalars to log."""
        pair, chain = self._pair(batch)
        real, revised = self._features(batch.images, pair)
        terms: Terms = {}
        watched: Terms = {}
        if self.params.weight_nll:
            self._density(batch, pair, real, revised, terms, watched)
        if self.params.weight_tr:
            self._hashing(batch, pair, real, revised, terms, watched)
        if self.params.weight_class:
            self._discrimination(batch, pair, real, revised, terms, watched)
        self._generation(batch, pair, real, revised, terms)
        total = self._descend(terms)
        if isinstance(self.descriptor.hash_head, FixedProjection):
            self.descriptor.hash_head.observe(real.detach())
        if chain is not None:
            watched |= {"langevin_distance": chain.distance, "langevin_gradient": chain.gradient_norm}
        return _numbers({"loss": total, **terms, **watched})

    def _pair(self, batch: Batch) -> tuple[Pair | None, Chain | None]:
        """Steps 1 and 2: contrastive pairs for the first images of the batch, revised by Langevin."""
        p, ctx = self.params, self.ctx
        if not p.makes_images:
            return None, None
        own = batch.labels[: p.pairs]
        other, valid = self.pool.negatives(own, ctx.generator("negatives", batch.step))
        latent = torch.randn(len(own), p.latent, generator=ctx.generator("latent", batch.step))
        latent = latent.to(ctx.device).repeat(2, 1)
        labels = torch.cat([own, other])
        # The generator learns from this very output only where L_VAE does not teach it.
        with torch.set_grad_enabled(p.weight_vae == 0), ctx.autocast():
            initial = self.generator(latent, labels).float()
        images, chain = initial.detach(), None
        if p.revises:
            noise = torch.Generator(ctx.device).manual_seed(ctx.seed("langevin", batch.step))
            chain = self.revise(images, labels, noise)
            images = chain.images
        return Pair(images, initial, labels, latent, valid), chain

    def revise(self, images: Tensor, labels: Tensor, noise: torch.Generator) -> Chain:
        """Short-run Langevin from `images` (n, channels, height, width) under f(., c), parameters frozen."""
        with frozen(self.descriptor):
            return langevin(images, partial(self._log_density, labels), self.params.langevin(), noise)

    def _log_density(self, labels: Tensor, images: Tensor) -> Tensor:
        with self.ctx.autocast():
            features = self.descriptor.base(self._place(images))
        return self.descriptor.density(features.float(), labels)

    def _features(self, images: Tensor, pair: Pair | None) -> tuple[Tensor, Tensor]:
        """Base features of the real batch (b, width) and of the pair (2m, width), from one pass."""
        everything = images if pair is None else torch.cat([images, pair.images])
        with self.ctx.autocast():
            features = self.descriptor.base(self._place(everything))
        return cast(tuple[Tensor, Tensor], features.float().tensor_split([len(images)]))

    def _density(
        self, batch: Batch, pair: Pair | None, real: Tensor, revised: Tensor, terms: Terms, watched: Terms
    ) -> None:
        """L_NLL with the energy penalty, or the discriminator's loss in the GAN counterpart."""
        assert pair is not None
        p = self.params
        f_real = self.descriptor.density(real, batch.labels)
        f_pair = self.descriptor.density(revised, pair.labels)
        if p.adversarial:
            terms["discriminator"] = p.weight_nll * losses.discriminator(f_real, f_pair)
        else:
            terms["nll"] = p.weight_nll * losses.negative_log_likelihood(f_real, f_pair)
            penalty = losses.energy_penalty(f_real, f_pair)
            terms["energy_penalty"] = p.weight_nll * p.energy_penalty * penalty
        watched |= {"f_real": f_real.mean(), "f_pair": f_pair.mean(), "f_gap": f_pair.mean() - f_real.mean()}

    def _hashing(
        self, batch: Batch, pair: Pair | None, real: Tensor, revised: Tensor, terms: Terms, watched: Terms
    ) -> None:
        """L_TR on the pair and on real images, and the quantisation term."""
        p = self.params
        codes = torch.tanh(self.descriptor.hash_head(real))
        share = p.real_triplets if pair is not None else 1.0
        if share:
            triplets = losses.batch_triplet(codes, batch.labels, p.margin, p.hinge_power)
            terms["tr_real"] = p.weight_tr * share * triplets
        if pair is not None and share < 1:
            made = torch.tanh(self.descriptor.hash_head(revised))
            positive, negative = made.split(pair.count)
            anchor = codes[: pair.count]
            triplets = losses.pair_triplet(anchor, positive, negative, pair.valid, p.margin, p.hinge_power)
            terms["tr_pair"] = p.weight_tr * (1 - share) * triplets
            watched["pairs_without_negative"] = 1 - pair.valid.mean()
        terms["quantisation"] = p.weight_tr * p.quantisation * losses.quantisation(codes)
        watched["code_balance"] = codes.detach().sign().mean(0).abs().mean()

    def _discrimination(
        self, batch: Batch, pair: Pair | None, real: Tensor, revised: Tensor, terms: Terms, watched: Terms
    ) -> None:
        """L_CLASS on the real batch and, with its weight, on the revised pair."""
        p, multi = self.params, self.ctx.task.multi_label
        logits = self.descriptor.class_logits(real)
        terms["class"] = p.weight_class * losses.classification(logits, batch.labels, multi)
        if pair is not None and p.class_on_pair:
            made = self.descriptor.class_logits(revised)
            terms["class_pair"] = (
                p.weight_class * p.class_on_pair * losses.classification(made, pair.labels, multi)
            )
        watched["class_accuracy"] = (logits.argmax(1) == batch.class_ids).float().mean()

    def _generation(
        self, batch: Batch, pair: Pair | None, real: Tensor, revised: Tensor, terms: Terms
    ) -> None:
        """Step 4: what teaches the generator, L_VAE as a rule."""
        p = self.params
        if pair is None:
            return
        if p.weight_vae and p.weight_nll:
            terms |= self._variational(revised, pair.images, pair.labels, batch.step)
        elif p.weight_vae:  # nothing revises the pair, so there is nothing to learn from it
            terms |= self._variational(real, batch.images, batch.labels, batch.step)
        elif p.adversarial:
            with frozen(self.descriptor):
                terms["adversarial"] = losses.adversarial(self._log_density(pair.labels, pair.initial))
        else:
            gap = losses.reconstruction(pair.images, pair.initial, p.reconstruction_std)
            terms["teaching"] = gap.mean() / pair.images[0].numel()

    def _variational(self, features: Tensor, images: Tensor, labels: Tensor, step: int) -> Terms:
        """L_VAE of images under q(z given x), divided by the number of pixels and channels."""
        mean, log_variance = self.descriptor.posterior(features)
        eps = torch.randn(mean.shape, generator=self.ctx.generator("posterior", step)).to(mean.device)
        with self.ctx.autocast():
            rebuilt = self.generator(mean + (0.5 * log_variance).exp() * eps, labels).float()
        scale = self.params.weight_vae / images[0].numel()
        error = losses.reconstruction(images, rebuilt, self.params.reconstruction_std).mean()
        return {
            "vae_reconstruction": scale * error,
            "vae_kl": scale * losses.gaussian_kl(mean, log_variance).mean(),
        }

    def _descend(self, terms: Terms) -> Tensor:
        """Backpropagate the sum of the terms once and step every optimiser.

        Raises FloatingPointError naming the terms that are not finite, or the network whose gradient is not,
        before any parameter has moved.
        """
        values = torch.stack(list(terms.values()))
        if not torch.isfinite(values).all():
            bad = [name for name, value in terms.items() if not torch.isfinite(value)]
            raise FloatingPointError(f"loss {', '.join(bad)} is not finite")
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        total = values.sum()
        total.backward()
        bound = self.params.gradient_clip or float("inf")
        for name in self.optimizers:
            network = self.descriptor if name == "descriptor" else self.generator
            norm = nn.utils.clip_grad_norm_(parameters_of([network]), bound)
            if not torch.isfinite(norm):
                raise FloatingPointError(f"the gradient of the {name} is not finite")
        for optimizer in self.optimizers.values():
            optimizer.step()
        if self.params.ema > 0:
            self._average()
        return total.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged copy that encodes a step towards the trained descriptor."""
        trained = self.descriptor.state_dict()
        for name, tensor in self.networks["hash"].state_dict().items():
            tensor.lerp_(trained[name], 1 - self.params.ema)

    # ---- what the harness asks of a trained model -------------------------------------------------

    @torch.no_grad()
    def class_logits(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of the class head, for uint8 images (n, channels, height, width)."""
        network = cast(Descriptor, self.networks["hash"].eval())
        with self.ctx.autocast():
            features = network.base(self._place(to_float(images)))
        return network.class_logits(features.float()).float()

    def sample(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images for labels (n, classes), uint8, before and after MCMC; `generator` is a CPU one.

        Networks run in evaluation mode. Without MCMC the two are equal.
        """
        self.networks.eval()
        labels = labels.to(self.ctx.device, torch.float32)
        latent = torch.randn(len(labels), self.params.latent, generator=generator).to(self.ctx.device)
        with torch.no_grad(), self.ctx.autocast():
            before = self.generator(latent, labels).float()
        if not self.params.revises:
            return _to_pixels(before), _to_pixels(before)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        noise = torch.Generator(self.ctx.device).manual_seed(seed)
        return _to_pixels(before), _to_pixels(self.revise(before, labels, noise).images)

    def facts(self) -> dict[str, str | int | float]:
        """Facts of the base class; `parameters` counts the retrieval path alone."""
        network = self.descriptor
        path = sum(p.numel() for part in (network.base, network.hash_head) for p in part.parameters())
        return {**super().facts(), "parameters": path}


def _numbers(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Every scalar as a float, with a single transfer from the device."""
    values = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))


def _to_pixels(images: Tensor) -> Tensor:
    return images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
