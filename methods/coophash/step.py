"""The losses of one update, assembled: step 3 (descriptor) and step 4 (generator) of the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from benchmark.contracts import FitContext
from benchmark.methods._stepwise import Batch
from benchmark.methods.coophash import losses
from benchmark.methods.coophash.networks import Descriptor, Generator
from benchmark.methods.coophash.pairs import Hidden, Pair
from benchmark.methods.coophash.params import CoopHashParams
from benchmark.methods.coophash.sampler import frozen

Terms = dict[str, Tensor]


@dataclass
class Update:
    """What one update has in hand, and what it comes to.

    real (b, width), revised (2m, width), hidden (u, width): base features of the labelled batch, of the pair
    and of the images without a label, all from one pass of the descriptor. terms: the weighted loss terms,
    whose sum is minimised. watched: scalars that are logged and not minimised.
    """

    params: CoopHashParams
    ctx: FitContext
    descriptor: Descriptor
    generator: Generator | None
    log_density: Callable[[Tensor, Tensor], Tensor]
    batch: Batch
    pair: Pair | None
    unseen: Hidden | None
    real: Tensor
    revised: Tensor
    hidden: Tensor
    terms: Terms = field(default_factory=dict)
    watched: Terms = field(default_factory=dict)

    def assemble(self) -> Terms:
        """Every term of the losses that are on; heads that are off do no work."""
        p = self.params
        if p.weight_nll and self.pair is not None:
            self._density(self.pair)
        if p.weight_tr:
            self._hashing()
        if p.weight_class:
            self._discrimination()
        if self.pair is not None:
            self._generation(self.pair)
        return self.terms

    def _density(self, pair: Pair) -> None:
        """L_NLL with the energy penalty, or the discriminator's loss in the GAN counterpart."""
        p = self.params
        f_real = self.descriptor.density(self.real, self.batch.labels)
        f_pair = self.descriptor.density(self.revised, pair.labels)
        if self.unseen is not None:
            f_real = torch.cat([f_real, losses.marginal(self._table())])
        weights = pair.weights
        if p.adversarial:
            self.terms["discriminator"] = p.weight_nll * losses.discriminator(f_real, f_pair, weights)
        else:
            self.terms["nll"] = p.weight_nll * losses.negative_log_likelihood(f_real, f_pair, weights)
            penalty = losses.energy_penalty(f_real, f_pair)
            self.terms["energy_penalty"] = p.weight_nll * p.energy_penalty * penalty
        if p.density_class:
            table = self.descriptor.density_table(self.real, self.batch.labels)
            implied = losses.label_posterior(table, self.batch.labels)
            self.terms["density_class"] = p.weight_nll * p.density_class * implied
        real, made = f_real.detach().mean(), losses.weighted_mean(f_pair.detach(), weights)
        self.watched |= {"f_real": real, "f_pair": made, "f_gap": made - real}

    def _hashing(self) -> None:
        """L_TR on the pair and on real images, with the likelihood of real pairs and the quantisation term."""
        p, labels = self.params, self.batch.labels
        codes = torch.tanh(self.descriptor.hash_head(self.real))
        share = p.real_triplets if self.pair is not None else 1.0
        if share:
            triplets = losses.batch_triplet(codes, labels, p.margin, p.temperature)
            self.terms["tr_real"] = p.weight_tr * share * triplets
        if self.pair is not None and share < 1:
            count = self.pair.count
            positive, negative = torch.split(torch.tanh(self.descriptor.hash_head(self.revised)), count)
            triplets = losses.pair_triplet(
                codes[:count], positive, negative, self.pair.valid, p.margin, p.temperature
            )
            self.terms["tr_pair"] = p.weight_tr * (1 - share) * triplets
            self.watched["pairs_without_negative"] = 1 - self.pair.valid.mean()
        if p.likelihood:
            alike = losses.likelihood(codes, labels, p.likelihood_scale)
            self.terms["likelihood"] = p.weight_tr * p.likelihood * alike
        if p.quantisation:
            self.terms["quantisation"] = p.weight_tr * p.quantisation * losses.quantisation(codes)
        self.watched["code_balance"] = codes.detach().sign().mean(0).abs().mean()

    def _discrimination(self) -> None:
        """L_CLASS on the real batch and, with its weight, on the revised pair."""
        p, multi = self.params, self.ctx.task.multi_label
        classification = partial(losses.classification, multi_label=multi, over_labels=p.label_loss)
        logits = self.descriptor.class_logits(self.real)
        self.terms["class"] = p.weight_class * classification(logits, self.batch.labels)
        if self.pair is not None and p.class_on_pair:
            made = self.descriptor.class_logits(self.revised)
            error = classification(made, self.pair.labels)
            self.terms["class_pair"] = p.weight_class * p.class_on_pair * error
        right = (logits > 0) == (self.batch.labels > 0) if multi else logits.argmax(1) == self.batch.class_ids
        self.watched["class_accuracy"] = right.float().mean()

    def _generation(self, pair: Pair) -> None:
        """What teaches the generator: L_VAE, and what the chain made of its own output; or the discriminator."""
        p = self.params
        if p.weight_vae:
            # Without a density nothing revises the pair, so only real images have anything to teach.
            revised = p.weight_nll > 0
            features, images, labels = (
                (self.revised, pair.images, pair.labels)
                if revised
                else (self.real, self.batch.images, self.batch.labels)
            )
            error, kl = self._variational(features, images, labels, "posterior")
            self.terms |= {"vae_reconstruction": error, "vae_kl": kl}
            if self.unseen is not None:
                self._infer_unseen(self.unseen)
        if p.adversarial:
            with frozen(self.descriptor):
                self.terms["adversarial"] = losses.adversarial(self.log_density(pair.labels, pair.initial))
        elif p.teaches:
            gap = losses.reconstruction(pair.images, pair.initial, p.reconstruction_std)
            self.terms["teaching"] = p.teaching * gap.mean() / pair.images[0].numel()
        if p.weight_vae and p.weight_nll and p.weight_vae_real:
            images = self.batch.images
            error, kl = self._evidence(self.real, images, self.batch.labels, "real-posterior")
            self.terms["vae_real"] = p.weight_vae_real * ((error + kl).mean() / images[0].numel())

    def _variational(
        self, features: Tensor, images: Tensor, labels: Tensor, purpose: str
    ) -> tuple[Tensor, Tensor]:
        """The two parts of weight * L_VAE under q(z given x), divided by the pixels and channels of an image."""
        scale = self.params.weight_vae / images[0].numel()
        error, kl = self._evidence(features, images, labels, purpose)
        return scale * error.mean(), scale * kl.mean()

    def _evidence(
        self, features: Tensor, images: Tensor, labels: Tensor, purpose: str
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction error and KL divergence of each image, (n,) each, for one z ~ q(z given x)."""
        assert self.generator is not None
        mean, log_variance = self.descriptor.posterior(features, images, labels)
        draw = self.ctx.device_generator(purpose, self.batch.step)
        eps = torch.randn(mean.shape, generator=draw, device=mean.device)
        with self.ctx.autocast():
            rebuilt = self.generator(mean + (0.5 * log_variance).exp() * eps, labels).float()
        error = losses.reconstruction(images, rebuilt, self.params.reconstruction_std)
        return error, losses.gaussian_kl(mean, log_variance)

    def _infer_unseen(self, unseen: Hidden) -> None:
        """L_VAE of unlabelled images under the descriptor's own guess of their label; the generator is frozen."""
        assert self.generator is not None
        with frozen(self.generator):
            error, kl = self._variational(self.hidden, unseen.images, self._guess(), "hidden-posterior")
        self.terms["vae_hidden"] = error + kl

    @torch.no_grad()
    def _guess(self) -> Tensor:
        """Soft labels (u, classes) of the hidden images, by the class head or else by the density."""
        if self.descriptor.class_head is not None:
            logits = self.descriptor.class_logits(self.hidden)
            return logits.sigmoid() if self.ctx.task.multi_label else logits.softmax(dim=1)
        if self.descriptor.density_head is None:  # every label set is as likely as any other
            assert self.unseen is not None
            return self.unseen.candidates.mean(0).expand(len(self.hidden), -1)
        assert self.unseen is not None
        return self._table().softmax(dim=1) @ self.unseen.candidates

    def _table(self) -> Tensor:
        """f of every hidden image under every candidate label set, (u, candidates)."""
        assert self.unseen is not None
        return self.descriptor.density_table(self.hidden, self.unseen.candidates)
