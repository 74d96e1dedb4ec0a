"""CoopHash: the training step, and the method as the harness sees it."""

from __future__ import annotations

import copy
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Ability, HashData, MethodInfo, Task
from benchmark.methods._generators import to_pixels
from benchmark.methods._images import on_device, taken, to_float
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod, parameters_of
from benchmark.methods.coophash.networks import Descriptor, FixedProjection, Generator
from benchmark.methods.coophash.pairs import Hidden, LabelPool, Pair
from benchmark.methods.coophash.params import CoopHashParams
from benchmark.methods.coophash.sampler import Chain, frozen, langevin, still
from benchmark.methods.coophash.step import Terms, Update
from benchmark.methods.coophash.variants import VARIANTS

#: Label sets that an image without a label is tried under, at most.
CANDIDATES = 64


class CoopHash(StepwiseMethod):
    """Cooperative learning of a multipurpose descriptor and a contrastive pair generator.

    One update: (1) z and c- are drawn, the generator makes x^+ = G(z, c+) and x^- = G(z, c-); (2) Langevin
    dynamics under the density head revises both; (3) one pass of the descriptor over the real batch and the
    revised pair gives every loss; (4) one backward pass moves descriptor and generator together.

    Where gradients go: the revised pair is data, without a graph, so the sampler teaches the generator only
    through L_VAE and by `teaching`, the regression of the revised pair from the z that began it; no other loss
    reaches the generator (in the GAN counterpart: the adversarial loss alone, through a frozen descriptor);
    L_VAE reaches the inference head and the base through the reparameterised z; the base receives the sum of
    every head's gradient.

    What the paper's summary states and what was reconstructed is told apart in `docs/coophash.md`.
    """

    info = MethodInfo(
        name="coophash",
        title="CoopHash",
        paper="CoopHash: Cooperative Learning of Multipurpose Descriptor and Contrastive Pair Generator via "
        "Variational MCMC Teaching for Supervised Image Hashing",
        year=2022,
        venue="arXiv",
        version=5,
        labels=("single", "multi"),
        supervision="generative",
        notes="hyper-parameters chosen here: the public summary states none",
        look=("vermillion", "o", "solid"),
    )
    Params = CoopHashParams
    params: CoopHashParams
    variants = VARIANTS
    #: For pre-trained backbones; chosen here, since the summary states no optimiser.
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-4, backbone_factor=0.1, schedule="cosine")

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Refuse vectors, of which there is nothing to draw, and a single class: a contrastive pair needs two."""
        if task.inputs == "vectors":
            return "it generates images: it needs pixels, not feature vectors"
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
            pixels=p.posterior_pixels,
            labels=p.posterior_label,
        )
        networks: dict[str, nn.Module] = {"hash": descriptor}
        if p.ema > 0:
            networks = {"hash": copy.deepcopy(descriptor).requires_grad_(False), "descriptor": descriptor}
        if p.makes_images:
            networks["generator"] = Generator(task, p.latent, p.generator_width)
        return networks

    def begin(self, data: HashData) -> None:
        """Learn which label sets occur; keep the images whose labels are hidden, if they are to be used."""
        if self.params.ema > 0:  # the average is calibrated by now; its source starts where it does
            self.descriptor.load_state_dict(self.networks["hash"].state_dict())
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

    def _held_layers(self) -> list[nn.Module]:
        """A pre-trained base, though it learns, keeps its own statistics too."""
        if self.ctx.task.weights == "none":
            return super()._held_layers()
        return [layer for layer in self.descriptor.base.modules() if hasattr(layer, "running_mean")]

    def step(self, batch: Batch) -> Terms:
        """One update of descriptor and generator; returns the scalars to log."""
        pair, chain = self._pair(batch)
        unseen = self._unseen(batch.step)
        real, revised, hidden = self._features(batch, pair, unseen)
        generator = self.generator if self.params.makes_images else None
        update = Update(
            self.params,
            self.ctx,
            self.descriptor,
            generator,
            self._log_density,
            batch,
            pair,
            unseen,
            real,
            revised,
            hidden,
        )
        terms = update.assemble()
        total = self._descend(terms)
        if isinstance(self.descriptor.hash_head, FixedProjection):
            self.descriptor.hash_head.observe(real.detach())
        if self.params.ema > 0:
            self._average(batch.step)
        if chain is not None:
            update.watched |= {"langevin_distance": chain.distance, "langevin_gradient": chain.gradient_norm}
        return {"loss": total, **terms, **update.watched}

    def _pair(self, batch: Batch) -> tuple[Pair | None, Chain | None]:
        """Steps 1 and 2: contrastive pairs for the first images of the batch, revised by Langevin."""
        p, ctx = self.params, self.ctx
        if not p.makes_images:
            return None, None
        own = batch.labels[: p.pairs]
        other, valid = self.pool.negatives(own, ctx.device_generator("negatives", batch.step))
        draw = ctx.device_generator("latent", batch.step)
        latent = torch.randn(len(own), p.latent, generator=draw, device=ctx.device).repeat(2, 1)
        labels = torch.cat([own, other])
        # A graph only where the generator learns from this very output.
        with torch.set_grad_enabled(p.adversarial or p.teaches), ctx.autocast():
            initial = self.generator(latent, labels).float()
        images, chain = initial.detach(), None
        if p.revises:
            chain = self.revise(images, labels, ctx.device_generator("langevin", batch.step))
            images = chain.images
        weights = self.pool.weights(labels) if p.weight_nll and p.negatives == "data" else None
        return Pair(images, initial, labels, valid, weights), chain

    def revise(self, images: Tensor, labels: Tensor, noise: torch.Generator) -> Chain:
        """Short-run Langevin from `images` (n, channels, height, width) under f(., c), parameters frozen."""
        with frozen(self.descriptor), still(self.descriptor.base):
            return langevin(images, partial(self._log_density, labels), self.params.langevin(), noise)

    def _channels_last(self) -> bool:
        # Measured to be the quicker layout on CPUs too, where most of the time goes to convolutions of the pair.
        return True

    def _log_density(self, labels: Tensor, images: Tensor) -> Tensor:
        with self.ctx.autocast():
            features = self.descriptor.base(self._place(images))
        return self.descriptor.density(features.float(), labels)

    def _unseen(self, step: int) -> Hidden | None:
        """As many images without a label as the batch holds, if they are to be used."""
        if self.unlabelled is None:
            return None
        draw, images = self.ctx.generator("hidden", step), self.unlabelled.unlabelled
        rows = on_device(torch.randint(len(images), (self.ctx.batch_size,), generator=draw), images.device)
        candidates = self.pool.candidates(CANDIDATES, draw)
        raw = taken(images, rows, self.ctx.device)
        return Hidden(self.augmented(self.unlabelled, raw, "hidden-augment", step), candidates)

    def _features(self, batch: Batch, pair: Pair | None, unseen: Hidden | None) -> tuple[Tensor, ...]:
        """Base features of the batch (b, width), pair (2m, width) and hidden images (u, width), in one pass.

        While there is a density, all of them carry `density_noise`: a background that is exactly black, which no
        generator draws, would otherwise tell real images apart without a look at what they show.
        """
        none = batch.images[:0]
        parts = [
            batch.images,
            none if pair is None else pair.images,
            none if unseen is None else unseen.images,
        ]
        images = torch.cat(parts)
        if self.params.weight_nll and self.params.density_noise:
            noise = self.ctx.device_generator("density-noise", batch.step)
            eps = torch.randn(images.shape, generator=noise, device=images.device)
            images = images + self.params.density_noise * eps
        with self.ctx.autocast():
            features = self.descriptor.base(self._place(images))
        return torch.split(features.float(), [len(part) for part in parts])

    def _descend(self, terms: Terms) -> Tensor:
        """Backpropagate the sum of the terms once and step every optimiser.

        Raises FloatingPointError naming the terms that are not finite, or the network whose gradient is not:
        before any parameter has moved, where the update is read at once.
        """
        self.scalars.check(terms, "loss {names} is not finite at update {step}")
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        for name in self.optimizers:
            self._check_gradient(name)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return total.detach()

    def _check_gradient(self, name: str) -> None:
        parameters = parameters_of([self.descriptor if name == "descriptor" else self.generator])
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        complaint = "the gradient of the {names} is not finite at update {step}, though every loss is"
        self.scalars.check({name: norm}, complaint)
        if self.params.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.params.gradient_clip, norm)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Move the averaged copy that encodes towards the trained descriptor; the first updates move it more."""
        decay = min(self.params.ema, (1 + step) / (10 + step))
        average = self.networks["hash"]
        for kept, trained in zip(average.parameters(), self.descriptor.parameters(), strict=True):
            kept.lerp_(trained, 1 - decay)
        for copied, original in zip(average.buffers(), self.descriptor.buffers(), strict=True):
            copied.copy_(original)

    # ---- what the harness asks of a trained model -------------------------------------------------

    def abilities(self) -> frozenset[Ability]:
        """What the losses that are on train for; see `methods/coophash/variants.py`."""
        p = self.params
        have: dict[Ability, bool] = {
            "hashing": p.weight_tr > 0,
            "classification": p.weight_class > 0,
            "generation": p.makes_images,
            "revision": p.revises,
            "density": p.weight_nll > 0 and not p.adversarial,
        }
        return frozenset(ability for ability, there in have.items() if there)

    @torch.no_grad()
    def class_logits(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of the class head, for uint8 images (n, channels, height, width)."""
        network = cast(Descriptor, self.networks["hash"].eval())
        with self.ctx.autocast():
            features = network.base(self._place(to_float(images)))
        return network.class_logits(features.float()).float()

    @torch.no_grad()
    def log_density(self, images: Tensor, labels: Tensor) -> Tensor:
        """f (n,) of uint8 images (n, channels, height, width) under labels (n, classes), up to a constant."""
        self.networks.eval()
        return self._log_density(labels.to(self.ctx.device, torch.float32), to_float(images)).float()

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
            return to_pixels(before), to_pixels(before)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        noise = torch.Generator(self.ctx.device).manual_seed(seed)
        return to_pixels(before), to_pixels(self.revise(before, labels, noise).images)

    def facts(self) -> dict[str, str | int | float]:
        """Facts of the base class; `parameters` counts the retrieval path alone."""
        network = self.descriptor
        path = sum(p.numel() for part in (network.base, network.hash_head) for p in part.parameters())
        return {**super().facts(), "parameters": path}
