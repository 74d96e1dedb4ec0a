"""HashGAN: the two stages, and the method as the harness sees it."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from benchmark.contracts import Ability, HashData, MethodInfo, Task, Variant
from benchmark.methods._generators import to_pixels
from benchmark.methods._images import on_device, taken
from benchmark.methods._networks import HashNetwork
from benchmark.methods._recipes import Recipe, schedule_factor
from benchmark.methods._stepwise import Batch, StepwiseMethod, batch_index
from benchmark.methods.hashgan.networks import Critic, Generator, SimilarityCondition
from benchmark.methods.hashgan.params import HashGANParams
from benchmark.methods.hashgan.stages import Duel, PairLoss, Terms, critic_terms, generator_terms, hash_terms

#: Adam's decay rates in the release, both stages.
BETAS = (0.0, 0.9)


class HashGAN(StepwiseMethod):
    """Pair-conditional Wasserstein GAN, then a hash network on real and synthesised images.

    Stage 1, the first `gan_share` of the budget: an update is `critic_steps` critic steps and one generator step,
    L_D = mean w(fake) - mean w(real) + 10 (|grad w| - 1)^2 + C(t, t) + a_f C(sg t, t^) and
    L_G = -mean w(fake) + a_g C(sg t, t^), where t and t^ are the critic's codes of real images and of G(z, y).
    Stage 2, the rest: the generator is frozen, the critic is left, a fresh hash network learns
    L_H = C(h, h) + 0.1 C(sg h, h^) + quantisation Q(h). sg: real codes do not move towards synthesised ones.

    C is the cosine cross-entropy, Q the cosine quantisation loss (`losses.py`). The hash network has the backbone
    that every method of a run has, and is untrained until stage 2: a learning curve is flat before. Departures from
    the release, beside those that are parameters: its unlabelled images are the searched database, which no method
    sees here, so those with hidden labels take their place (none: neither they nor images without a label are
    used); critic and generator are narrower; batches go through epochs instead of being drawn anew.
    """

    info = MethodInfo(
        name="hashgan",
        title="HashGAN",
        paper="HashGAN: Deep Learning to Hash with Pair Conditional Wasserstein GAN",
        year=2018,
        venue="CVPR",
        version=1,
        labels=("single", "multi"),
        supervision="generative",
        look=("purple", "^", "dotted"),
    )
    Params = HashGANParams
    params: HashGANParams
    #: As released, with linear decay (`_schedule`).
    paper_recipe: ClassVar[Recipe] = Recipe(optimizer="adam", lr=1e-4, schedule="constant")
    variants = (
        Variant(
            name="hashgan-real",
            title="HashGAN, stage 2 alone",
            params={"gan_share": 0.0, "fake_weight": 0.0},
            note="no GAN: every update trains the hash network on real images, with the same losses",
            look=("sky blue", "D", "densely dashdotted"),
        ),
    )

    # ---- set-up ------------------------------------------------------------------------------

    @classmethod
    def supports(cls, task: Task) -> str | None:
        """Refuse vectors, of which there is nothing to draw."""
        return (
            None if task.inputs == "images" else "it generates images: it needs pixels, not feature vectors"
        )

    def build(self, task: Task) -> dict[str, nn.Module]:
        """The hash network; with a stage 1, generator and critic."""
        p = self.params
        networks: dict[str, nn.Module] = {"hash": HashNetwork(task)}
        if p.gan_share:
            networks["generator"] = Generator(task, p.latent, p.generator_width, p.condition)
            networks["critic"] = Critic(task, p.critic, p.critic_width)
        return networks

    def begin(self, data: HashData) -> None:
        """Keep the training set for the critic's batches; embed its similarities where they are the condition."""
        self.data = data
        self.pairs = PairLoss.of(self.params, data.task)
        if self.params.gan_share and isinstance(self.generator.condition, SimilarityCondition):
            self.generator.condition.learn(data.labels)

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network: the recipe's for the hash network, the release's for the two of stage 1."""
        optimizers = {"hash": self.make_optimizer(self.networks["hash"])}
        for group in optimizers["hash"].param_groups if self.follows_paper else ():
            group["betas"] = BETAS
        for name in ("critic", "generator") if self.params.gan_share else ():
            parameters = self.networks[name].parameters()
            optimizers[name] = torch.optim.Adam(parameters, self.params.gan_lr, betas=BETAS)
        return optimizers

    @property
    def generator(self) -> Generator:
        """The conditional generator of stage 1."""
        return cast(Generator, self.networks["generator"])

    @property
    def critic(self) -> Critic:
        """The critic of stage 1."""
        return cast(Critic, self.networks["critic"])

    @property
    def gan_updates(self) -> int:
        """Updates of stage 1; at least one is left for stage 2."""
        return min(round(self.params.gan_share * self.ctx.updates), self.ctx.updates - 1)

    def _schedule(self, progress: float) -> None:
        """Anneal each stage's rates over that stage: linear to 0 as released, or by the common recipe."""
        border = self.gan_updates / self.ctx.updates
        first = progress < border
        within = progress / border if first else (progress - border) / (1 - border)
        recipe = self.recipe()
        linear = first or self.follows_paper
        factor = (
            1 - within if linear else schedule_factor(recipe.schedule, within, recipe.drops, recipe.decay)
        )
        for name in ("critic", "generator") if first else ("hash",):
            for group in self.optimizers[name].param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor

    # ---- one update --------------------------------------------------------------------------

    def step(self, batch: Batch) -> Terms:
        """One update of the stage that it falls into; returns the scalars to log."""
        return self._play(batch) if batch.step < self.gan_updates else self._hash(batch)

    def _play(self, batch: Batch) -> Terms:
        """Stage 1: the critic's steps, each on images of its own, then one step of the generator."""
        terms: Terms = {}
        for turn in range(self.params.critic_steps):
            duel = self._duel(batch.step * self.params.critic_steps + turn)
            terms = critic_terms(self.critic, duel, self.pairs, self.params, self.ctx)
            self._descend("critic", terms)
        size = self.params.gan_batch or len(batch.images)
        fake = self._make(batch.labels[:size], self._hidden_count(size), "generator-noise", batch.step)
        duel = Duel(batch.images[:size], fake, batch.labels[:size], fake[:0])
        made = generator_terms(self.critic, duel, self.pairs, self.params, self.ctx)
        self._descend("generator", made)
        return {"loss": torch.stack([*made.values()]).sum(), **made, **terms}

    def _duel(self, position: int) -> Duel:
        """Real and synthesised images of critic step `position`, counted through all updates."""
        p, data = self.params, self.data
        size = p.gan_batch or self.ctx.batch_size
        rows = batch_index(len(data.images), size, position, self.ctx, data.images.device)
        labels = data.labels[on_device(rows, data.labels.device)].float()
        raw = taken(data.images, rows, self.ctx.device)
        real = self.augmented(data, raw, "critic-augment", position)
        count = self._hidden_count(len(rows))
        if count:
            draw = self.ctx.generator("hidden", position)
            chosen = on_device(torch.randint(len(data.unlabelled), (count,), generator=draw), rows.device)
            raw = taken(data.unlabelled, chosen, self.ctx.device)
            hidden = self.augmented(data, raw, "hidden-augment", position)
            real = torch.cat([real, hidden])
        draw = self.ctx.device_generator("critic-noise", position)
        if p.dequantise:  # 2 v / 256 - 1 + U(0, 1 / 128) for grey level v
            noise = torch.rand(real.shape, generator=draw, device=real.device)
            real = (real + 1) * (255 / 256) - 1 + noise / 128
        mix = torch.rand(len(real), generator=draw, device=real.device)
        with torch.no_grad():
            fake = self._make(labels, count, "critic-latent", position)
        return Duel(real, fake, labels, mix)

    def _hidden_count(self, labelled: int) -> int:
        """How many images without a label accompany `labelled` ones: as many, or none."""
        used = self.params.unlabelled == "use" and len(self.data.unlabelled) > 0
        return labelled if used else 0

    def _make(self, labels: Tensor, unlabelled: int, purpose: str, position: int) -> Tensor:
        """G(z, y) for labels (m, classes), then `unlabelled` images G(z, 0), in one pass."""
        labels = torch.cat([labels, labels.new_zeros(unlabelled, labels.shape[1])])
        draw = self.ctx.device_generator(purpose, position)
        noise = torch.randn(len(labels), self.params.latent, generator=draw, device=labels.device)
        with self.ctx.autocast():
            images: Tensor = self.generator(noise, labels)
        return images.float()

    def _hash(self, batch: Batch) -> Terms:
        """Stage 2: one step of the hash network on the real batch and as many synthesised images, in one pass."""
        images, count = batch.images, len(batch.images)
        if self.params.fake_weight and self.gan_updates:
            self.generator.eval()
            with torch.no_grad():
                images = torch.cat([images, self._make(batch.labels, 0, "hash-latent", batch.step)])
        with self.ctx.autocast():
            outputs = self.networks["hash"](self._place(images)).float()
        fake = outputs[count:] if len(images) > count else None
        terms = hash_terms(outputs[:count], fake, batch.labels, self.pairs, self.params)
        total = self._descend("hash", terms)
        return {"loss": total, **terms}

    def _descend(self, name: str, terms: Terms) -> Tensor:
        """Differentiate the sum of the terms for one network's parameters alone, and step its optimiser.

        Raises FloatingPointError naming the terms that are not finite, or the network whose gradient is not:
        before any parameter has moved, where the update is read at once.
        """
        self.scalars.check(terms, "loss {names} is not finite at update {step}")
        parameters = list(self.networks[name].parameters())
        self.optimizers[name].zero_grad(set_to_none=True)
        total = torch.stack(list(terms.values())).sum()
        torch.autograd.backward(total, inputs=parameters)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        complaint = "the gradient of the {names} is not finite at update {step}, though every loss is"
        self.scalars.check({name: norm}, complaint)
        self.optimizers[name].step()
        return total.detach()

    # ---- what the harness asks of a trained model -------------------------------------------------

    def abilities(self) -> frozenset[Ability]:
        """Hashing, and generation where there is a stage 1."""
        return frozenset({"hashing", "generation"} if self.params.gan_share else {"hashing"})

    def sample(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images G(z, y) for labels (n, classes), uint8, twice: nothing revises them. `generator` is a CPU one.

        Raises NotImplementedError without a stage 1.
        """
        if not self.params.gan_share:
            return super().sample(labels, generator)
        self.generator.eval()
        noise = torch.randn(len(labels), self.params.latent, generator=generator).to(self.ctx.device)
        with torch.no_grad(), self.ctx.autocast():
            images = to_pixels(self.generator(noise, labels.to(self.ctx.device, torch.float32)).float())
        return images, images.clone()

    def facts(self) -> dict[str, str | int | float]:
        """Facts of the base class, and how the budget was shared."""
        first, steps = self.gan_updates, self.params.critic_steps
        facts = super().facts()
        if self.follows_paper:
            facts["optimizer"] = str(facts["optimizer"]).replace("constant", "linear")
        return {
            **facts,
            "gan_updates": first,
            "critic_steps": first * steps,
            "hash_updates": self.ctx.updates - first,
        }
